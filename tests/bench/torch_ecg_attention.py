"""The dual-attention autoencoder in PyTorch, published sizes, for the bench alone."""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

HEADS, RATE = 8, 0.2


def convolutions(inputs: int, features: int, stride: int) -> dict[str, nn.Module]:
    """The layers of a residual block's main path."""
    first = nn.Conv2d(inputs, features, (1, 5), (1, stride), (0, 2), bias=False)
    second = nn.Conv2d(features, features, (1, 5), padding=(0, 2), bias=False)
    norms = nn.BatchNorm2d(features), nn.BatchNorm2d(features)
    return {"conv1": first, "bn1": norms[0], "conv2": second, "bn2": norms[1]}


class Block(nn.Module):
    """Down, up or plain residual block."""

    def __init__(self, inputs: int, features: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "up":
            self.idfunc_0 = nn.ConvTranspose2d(inputs, features, (1, 4), (1, 2), (0, 1))
            self.idfunc_1 = nn.Conv2d(features, features, 1, bias=False)
        else:
            self.idfunc_1 = nn.Conv2d(inputs, features, 1)
        entry = features if kind == "up" else inputs
        for name, layer in convolutions(entry, features, 2 if kind == "down" else 1).items():
            setattr(self, name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "up":
            x = shortcut = self.idfunc_1(self.idfunc_0(x))
        elif self.kind == "down":
            shortcut = self.idfunc_1(functional.max_pool2d(x, (1, 2)))
        else:
            shortcut = self.idfunc_1(x)
        y = functional.leaky_relu(self.bn1(self.conv1(x)), 0.01)
        y = functional.leaky_relu(self.bn2(self.conv2(y)), 0.01)
        return functional.gelu(y + shortcut)


class Mlp(nn.Module):
    """Perceptron of an attention block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.drop = nn.Dropout(RATE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.fc2(self.drop(functional.gelu(self.fc1(x)))))


def code(positions: int, width: int) -> torch.Tensor:
    """Sines in even columns, cosines in odd, [positions, 1, width]."""
    rate = torch.exp(-torch.arange(0, width, 2) * math.log(10000.0) / width)
    angle = torch.arange(positions)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], -1).reshape(positions, 1, width)


class Attention(nn.Module):
    """Both branches and the pooling."""

    def __init__(self, leads: int, channels: int, steps: int, pool: int) -> None:
        super().__init__()
        width = channels * steps

        def each(make):
            return nn.ModuleList(make() for _ in range(leads))

        self.time_mha = each(lambda: nn.MultiheadAttention(channels, HEADS))
        self.time_norm_1 = each(lambda: nn.LayerNorm(channels))
        self.time_mlp = each(lambda: Mlp(channels))
        self.mlp_norm_1 = each(lambda: nn.LayerNorm(channels))
        self.lead_mha = nn.MultiheadAttention(width, HEADS)
        self.lead_mlp = Mlp(width)
        self.lead_norm_1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        for index in (1, 2):
            layers = [nn.Identity(), nn.Conv1d(channels * leads, pool // 2, 1)]
            setattr(self, f"attention_pool_{index}", nn.Sequential(*layers))
        self.drop = nn.Dropout(RATE)
        self.register_buffer("time_code", code(steps, channels), persistent=False)
        self.register_buffer("lead_code", code(leads, width), persistent=False)

    def block(self, x, position, norm, attention, mlp_norm, mlp):
        x = self.drop(x + position)
        normed = norm(x)
        x = attention(normed, normed, normed)[0] + x
        return x + mlp(mlp_norm(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, leads, steps = x.shape
        layers = (self.time_norm_1, self.time_mha, self.mlp_norm_1, self.time_mlp)
        time = [
            self.block(x[:, :, lead].permute(2, 0, 1), self.time_code, *(m[lead] for m in layers))
            for lead in range(leads)
        ]
        in_time = torch.stack(time, -1).permute(1, 2, 3, 0).reshape(batch, -1, steps)
        flat = x.permute(2, 0, 1, 3).reshape(leads, batch, -1)
        parts = (self.norm2, self.lead_mha, self.lead_norm_1, self.lead_mlp)
        across = self.block(flat, self.lead_code, *parts)
        across = across.reshape(leads, batch, channels, steps).permute(1, 2, 0, 3)
        joined = across.reshape(batch, -1, steps) + in_time
        means = self.attention_pool_1(joined).mean(-1)
        return torch.cat([means, self.attention_pool_2(joined).amax(-1)], -1)


class Encoder(nn.Module):
    """Stem, residual blocks, attention."""

    def __init__(self, leads: int, time: int, latent: int, base: int, order: str) -> None:
        super().__init__()
        wide = leads * base
        self.leads, self.order = leads, order
        self.input_conv = nn.Sequential(
            nn.Conv1d(leads, wide, 5, padding=2, groups=leads),
            *(nn.GroupNorm(leads, wide), nn.GELU()),
            nn.Conv1d(wide, wide, 5, padding=2),
            *(nn.GroupNorm(leads, wide), nn.GELU()),
        )
        channels = [base * n for n in (1, 2, 4, 4, 4, 4)]
        pairs = itertools.pairwise(channels)
        self.encoder = nn.ModuleList(Block(i, o, "down") for i, o in pairs)
        self.attention = Attention(leads, channels[-1], time // 32, latent)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.input_conv(x)
        if self.order == "feature_major":
            x = x.reshape(len(x), -1, self.leads, x.shape[-1])
        else:
            x = x.reshape(len(x), self.leads, -1, x.shape[-1]).transpose(1, 2)
        for block in self.encoder:
            x = block(x)
        return self.attention(x)


class Decoder(nn.Module):
    """Linear layers, residual blocks, one scale a lead, normalisation over time."""

    def __init__(self, leads: int, time: int, latent: int, base: int) -> None:
        super().__init__()
        narrow = base * (time // 32)
        self.shape = (base, leads, time // 32)
        self.linear = nn.Sequential(nn.Linear(latent, narrow), nn.Linear(narrow, leads * narrow))
        blocks = [Block(base, base, "up") for _ in range(5)]
        self.decoder = nn.Sequential(*blocks, Block(base, 1, "plain"))
        scale = nn.Conv1d(leads, leads, 1, groups=leads)
        self.final_conv = nn.Sequential(scale, nn.InstanceNorm1d(leads))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = self.linear(z).reshape(len(z), *self.shape)
        return self.final_conv(self.decoder(x).squeeze(1))


class Autoencoder(nn.Module):
    """The published network "ECG_attention_512"; returns the reconstruction and z."""

    def __init__(self, leads: int, time: int, latent: int, base: int, order: str) -> None:
        super().__init__()
        self.encoder = Encoder(leads, time, latent, base, order)
        self.decoder = Decoder(leads, time, latent, base)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = self.encoder(x)
        return self.decoder(z), z


class RiskHead(nn.Module):
    """The Cox head."""

    def __init__(self, latent: int, hidden: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            *(nn.BatchNorm1d(latent), nn.Dropout(0.25), nn.Linear(latent, hidden), nn.ReLU()),
            *(nn.BatchNorm1d(hidden), nn.Identity(), nn.Linear(hidden, 1)),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.model(z)[:, 0]


def projector(inputs: int) -> nn.Module:
    """Into the space of alignment."""
    return nn.Sequential(nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, 128))


def cox_loss(score: torch.Tensor, time: torch.Tensor, event: torch.Tensor) -> torch.Tensor:
    """Negative partial likelihood, exact, Breslow's ties."""
    at_risk = time[None] >= time[:, None]
    total = torch.where(at_risk, score[None], -torch.inf).logsumexp(1)
    return -(event * (score - total)).sum() / event.sum()
