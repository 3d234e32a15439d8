"""MedFuse's networks in PyTorch, for the bench only; parameters bear the published names.

Only the parts that a fusion trains are built: "uni_ehr" and "lstm".
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def last_state(lstm: nn.LSTM, x: torch.Tensor, length: torch.Tensor) -> tuple:
    """Return the packed states of x [batch, time, inputs] and the state at each row's end."""
    packed = pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
    states, (hidden, _) = lstm(packed)
    return states, hidden[-1]


class SeriesEncoder(nn.Module):
    """Stacked single-layer LSTMs over packed sequences."""

    def __init__(self, inputs: int, dim: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        for index in range(layers):
            lstm = nn.LSTM(dim if index else inputs, dim, batch_first=True)
            setattr(self, f"layer{index}", lstm)

    def forward(self, series: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """Return the last layer's state [batch, dim] at each row's end."""
        states, last = last_state(self.layer0, series, length)
        for index in range(1, self.layers):
            states, (hidden, _) = getattr(self, f"layer{index}")(states)
            last = hidden[-1]
        return last


def conv(inputs: int, outputs: int, size: int, stride: int) -> nn.Conv2d:
    """Return a convolution without bias, padded by size // 2."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class Block(nn.Module):
    """Two 3x3 convolutions beside a short cut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs, 3, 1), nn.BatchNorm2d(outputs)
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Sequential(
                conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the map after the block."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet(nn.Module):
    """Stem, stages of basic blocks, mean over the map."""

    def __init__(self, stage_sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        self.stages = len(stage_sizes)
        inputs = width
        for stage, depth in enumerate(stage_sizes):
            blocks = []
            for index in range(depth):
                blocks.append(Block(inputs, width * 2**stage, 2 if stage and not index else 1))
                inputs = width * 2**stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.features = inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features [batch, features] of images [batch, 3, height, width]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x.mean((2, 3))


class MedFuse(nn.Module):
    """The series encoder alone ("uni_ehr"), or both encoders and the fusion LSTM ("lstm")."""

    def __init__(
        self,
        fusion: str,
        inputs: int,
        dim: int,
        layers: int,
        classes: int,
        stage_sizes: Sequence[int],
        width: int,
    ) -> None:
        super().__init__()
        self.fusion = fusion
        self.ehr_model = SeriesEncoder(inputs, dim, layers)
        if fusion == "uni_ehr":
            self.ehr_model.dense_layer = nn.Linear(dim, classes)
            return
        self.cxr_model = nn.Module()
        self.cxr_model.vision_backbone = ResNet(stage_sizes, width)
        features = self.cxr_model.vision_backbone.features
        self.projection = nn.Linear(features, dim)
        self.lstm_fusion_layer = nn.LSTM(dim, features, batch_first=True)
        self.lstm_fused_cls = nn.Sequential(nn.Linear(features, classes))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def forward(
        self,
        series: torch.Tensor,
        length: torch.Tensor,
        film: torch.Tensor,
        has_image: torch.Tensor,
    ) -> torch.Tensor:
        """Return logits [batch, classes]; film is grey uint8 [batch, height, width]."""
        ehr = self.ehr_model(series, length)
        if self.fusion == "uni_ehr":
            return self.ehr_model.dense_layer(ehr)
        image = (film.float()[:, None] / 255 - self.mean) / self.std
        cxr = self.projection(self.cxr_model.vision_backbone(image))
        tokens = torch.stack([ehr, cxr * has_image[:, None]], 1)
        _, last = last_state(self.lstm_fusion_layer, tokens, 1 + has_image.long())
        return self.lstm_fused_cls(last)


def make_step(
    model: MedFuse,
    weights: Mapping[str, np.ndarray],
    batch: Mapping[str, np.ndarray],
    learning_rate: float,
    betas: tuple[float, float],
) -> Callable[[], float]:
    """Return a function that makes one train step on the batch and gives its loss."""
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, betas=betas)
    names = ("series", "length", "image", "has_image")
    inputs = [torch.tensor(batch[name]) for name in names]
    inputs[1] = inputs[1].long()
    labels = torch.tensor(batch["labels"])

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(*inputs), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
