"""MedFuse's networks in PyTorch, for the bench only; parameters bear the published names.

Only the parts that a fusion trains are built: "uni_ehr", "lstm", "mmtm" and "daft"; the blocks of
the latter two stand after the last stage, and their mean over time runs over a row's own hours.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

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
        return self._further(states, last)

    def after_first(self, states: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """Return the same from states [batch, time, dim] of the first layer."""
        last = states[torch.arange(len(states)), length - 1]
        packed = pack_padded_sequence(states, length, batch_first=True, enforce_sorted=False)
        return self._further(packed, last)

    def _further(self, states: PackedSequence, last: torch.Tensor) -> torch.Tensor:
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

    def last_map(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last map of images [batch, 3, height, width]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features [batch, features] of images [batch, 3, height, width]."""
        return self.last_map(x).mean((2, 3))


class MMTMBlock(nn.Module):
    """Gates of the map's and the sequence's channels."""

    def __init__(self, channels: int, dim: int, ratio: float) -> None:
        super().__init__()
        width = int(2 * (channels + dim) / ratio)
        self.fc_squeeze = nn.Linear(channels + dim, width)
        self.fc_visual, self.fc_skeleton = nn.Linear(width, channels), nn.Linear(width, dim)

    def forward(self, image: torch.Tensor, states: torch.Tensor, squeezed: torch.Tensor) -> tuple:
        """Return (map, states) after the gates."""
        z = torch.relu(self.fc_squeeze(squeezed))
        image = image * torch.sigmoid(self.fc_visual(z))[:, :, None, None]
        return image, states * torch.sigmoid(self.fc_skeleton(z))[:, None]


class DAFTBlock(nn.Module):
    """Scale and shift of the sequence's channels."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        width = (16 + channels) // 7
        self.aux = nn.Module()
        self.aux.aux_base = nn.Linear(channels + dim, width, bias=False)
        self.aux.aux_out = nn.Linear(width, 2 * dim, bias=False)

    def forward(self, image: torch.Tensor, states: torch.Tensor, squeezed: torch.Tensor) -> tuple:
        """Return (map, states); the map passes through."""
        out = self.aux.aux_out(torch.relu(self.aux.aux_base(squeezed)))
        scale, shift = out[:, None].chunk(2, dim=-1)
        return image, scale * states + shift


def mean_over(states: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """Return the mean of states [batch, time, dim] over each row's own hours."""
    hours = torch.arange(states.shape[1]) < length[:, None]
    return (states * hours[..., None]).sum(1) / length[:, None]


class MedFuse(nn.Module):
    """One of the fusions; `forward` gives the logits of every loss, in the order of the steps."""

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
        if fusion != "lstm":
            self.ehr_model.dense_layer = nn.Linear(dim, classes)
        if fusion == "uni_ehr":
            return
        self.cxr_model = nn.Module()
        self.cxr_model.vision_backbone = ResNet(stage_sizes, width)
        features = self.cxr_model.vision_backbone.features
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)
        if fusion == "lstm":
            self.projection = nn.Linear(features, dim)
            self.lstm_fusion_layer = nn.LSTM(dim, features, batch_first=True)
            self.lstm_fused_cls = nn.Sequential(nn.Linear(features, classes))
            return
        if fusion == "daft":
            self.block_name = f"daft_layer_{len(stage_sizes)}"
            setattr(self, self.block_name, DAFTBlock(features, dim))
            return
        self.block_name = f"mmtm{len(stage_sizes)}"
        setattr(self, self.block_name, MMTMBlock(features, dim, ratio=4))
        self.cxr_model.classifier = nn.Sequential(nn.Linear(features, classes))
        self.projection = nn.Linear(dim, features)
        self.joint_cls = nn.Sequential(nn.Linear(2 * features, classes))

    def forward(
        self,
        series: torch.Tensor,
        length: torch.Tensor,
        film: torch.Tensor,
        has_image: torch.Tensor,
    ) -> list[torch.Tensor]:
        """Return logits [batch, classes]; film is grey uint8 [batch, height, width]."""
        if self.fusion == "uni_ehr":
            return [self.ehr_model.dense_layer(self.ehr_model(series, length))]
        image = (film.float()[:, None] / 255 - self.mean) / self.std
        if self.fusion != "lstm":
            return self.between(series, length, image)
        ehr = self.ehr_model(series, length)
        cxr = self.projection(self.cxr_model.vision_backbone(image))
        tokens = torch.stack([ehr, cxr * has_image[:, None]], 1)
        _, last = last_state(self.lstm_fusion_layer, tokens, 1 + has_image.long())
        return [self.lstm_fused_cls(last)]

    def between(
        self, series: torch.Tensor, length: torch.Tensor, image: torch.Tensor
    ) -> list[torch.Tensor]:
        """Return the logits of MMTM's three heads, or DAFT's."""
        packed, _ = last_state(self.ehr_model.layer0, series, length)
        states, _ = pad_packed_sequence(packed, batch_first=True)
        x = self.cxr_model.vision_backbone.last_map(image)
        squeezed = torch.cat([x.mean((2, 3)), mean_over(states, length)], 1)
        x, states = getattr(self, self.block_name)(x, states, squeezed)
        ehr = self.ehr_model.after_first(states, length)
        ehr_logits = self.ehr_model.dense_layer(ehr)
        if self.fusion == "daft":
            return [ehr_logits]
        cxr = x.mean((2, 3))
        joint = self.joint_cls(torch.cat([self.projection(ehr), cxr], 1))
        return [ehr_logits, self.cxr_model.classifier(cxr), joint]

    def parts(self) -> list[list[nn.Parameter]]:
        """Return the parameters that each optimiser holds."""
        if self.fusion != "mmtm":
            return [list(self.parameters())]
        block = list(getattr(self, self.block_name).parameters())
        encoders = (self.ehr_model, self.cxr_model)
        return [[*each.parameters(), *block] for each in encoders] + [list(self.parameters())]


def make_step(
    model: MedFuse,
    weights: Mapping[str, np.ndarray],
    batch: Mapping[str, np.ndarray],
    learning_rate: float,
    betas: tuple[float, float],
) -> Callable[[], float]:
    """Return a function that makes one train step on the batch and gives its (first) loss.

    MMTM's step is three: a forward pass, a backward pass and an optimiser for each head.
    """
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    model.train()
    optimizers = [torch.optim.Adam(part, lr=learning_rate, betas=betas) for part in model.parts()]
    names = ("series", "length", "image", "has_image")
    inputs = [torch.tensor(batch[name]) for name in names]
    inputs[1] = inputs[1].long()
    labels = torch.tensor(batch["labels"])

    def step() -> float:
        losses = []
        for index, optimizer in enumerate(optimizers):
            model.zero_grad()
            logits = model(*inputs)[index]
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses[0]

    return step
