"""MedKLIP in PyTorch, published sizes and names, for the bench alone."""

import torch
from torch import nn
from torch.nn import functional

QUERIES, DIM, TEXT, RATE = 75, 256, 768, 0.1


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3, 1x1 beside a short cut."""

    def __init__(self, inputs: int, features: int, stride: int) -> None:
        super().__init__()
        out = 4 * features
        self.conv1 = nn.Conv2d(inputs, features, 1, bias=False)
        self.conv2 = nn.Conv2d(features, features, 3, stride, 1, bias=False)
        self.conv3 = nn.Conv2d(features, out, 1, bias=False)
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(n) for n in (features, features, out))
        self.relu, self.downsample = nn.ReLU(inplace=True), None
        if inputs != out:
            shortcut = nn.Conv2d(inputs, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


def resnet50() -> nn.Sequential:
    """ResNet-50 up to and including its third stage."""
    stem = (nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
    stages, inputs = [], 64
    for stage, depth in enumerate((3, 4, 6)):
        blocks = []
        for index in range(depth):
            blocks.append(Bottleneck(inputs, 64 * 2**stage, 2 if stage and not index else 1))
            inputs = 256 * 2**stage
        stages.append(nn.Sequential(*blocks))
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *stages)


class DecoderLayer(nn.Module):
    """Self-attention, attention to the patches, perceptron; each reads its normalised input."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(DIM, 4, RATE)
        self.multihead_attn = nn.MultiheadAttention(DIM, 4, RATE)
        self.linear1, self.linear2 = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(DIM) for _ in range(3))
        self.drop = nn.Dropout(RATE)

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> tuple:
        """x [query, batch, width], memory [patch, batch, width]."""
        y = self.norm1(x)
        x = x + self.drop(self.self_attn(y, y, y)[0])
        seen, attention = self.multihead_attn(self.norm2(x), memory, memory)
        x = x + self.drop(seen)
        inner = self.drop(torch.relu(self.linear1(self.norm3(x))))
        return x + self.drop(self.linear2(inner)), attention


class Decoder(nn.Module):
    """Four layers and a last LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(4))
        self.norm = nn.LayerNorm(DIM)

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> tuple:
        maps = []
        for layer in self.layers:
            x, attention = layer(x, memory)
            maps.append(attention)
        return self.norm(x), maps


class MedKLIP(nn.Module):
    """Films [batch, 3, height, width] and a book [query, text] -> logits, positions, attention."""

    def __init__(self) -> None:
        super().__init__()
        self.disease_embedding_layer = nn.Linear(TEXT, DIM)
        self.cl_fc = nn.Linear(DIM, TEXT)
        self.res_features = resnet50()
        self.res_l1, self.res_l2 = nn.Linear(1024, 1024), nn.Linear(1024, DIM)
        self.decoder = Decoder()
        self.classifier = nn.Linear(DIM, 2)
        self.drop = nn.Dropout(RATE)

    def forward(self, images: torch.Tensor, book: torch.Tensor) -> tuple:
        """Return logits [batch, query, 2], positions [batch, query, text], attention by layer."""
        maps = self.res_features(images).flatten(2).permute(2, 0, 1)
        patches = self.res_l2(torch.relu(self.res_l1(maps)))
        queries = self.disease_embedding_layer(book)[:, None].expand(-1, len(images), -1)
        found, attention = self.decoder(queries, patches)
        found = self.drop(found).transpose(0, 1)
        return self.classifier(found), self.cl_fc(found), attention


def losses(
    logits: torch.Tensor,
    position: torch.Tensor,
    labels: torch.Tensor,
    book: torch.Tensor,
    index: torch.Tensor,
) -> torch.Tensor:
    """Return the sum of the losses of existence and of position, the true one first in `index`."""
    known = labels >= 0
    existence = functional.cross_entropy(logits[known], labels[known].long())
    candidates = torch.einsum("bqt,bqct->bqc", position, book[index])[labels == 1]
    first = torch.zeros(len(candidates), dtype=torch.long)
    return existence + functional.cross_entropy(candidates, first)
