"""MedST in PyTorch, published names, for the bench alone: one program for all rows of a batch."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

TEMPERATURE, LOCAL, TEMPORAL, TINY = 0.07, 0.1, 0.1, 1e-7


class Sizes(NamedTuple):
    """Of a network; vocabulary and positions are those of Bio_ClinicalBERT."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    text_width: int = 768
    text_layers: int = 6
    text_heads: int = 12
    hidden: int = 2048
    dim: int = 128
    vocabulary: int = 28996
    positions: int = 512
    side: int = 224
    patch: int = 16


def attend(query, key, value, mask, explicit: bool) -> torch.Tensor:
    """[batch, head, token, width]; the product of softmax either step by step or in one kernel."""
    if not explicit:
        return functional.scaled_dot_product_attention(query, key, value, mask)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores + mask
    return torch.softmax(scores, -1) @ value


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, explicit: bool) -> None:
        super().__init__()
        self.heads, self.explicit = heads, explicit
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = attend(*qkv.unbind(0), mask, self.explicit)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    """Shared attention, an expert a view."""

    def __init__(self, width: int, heads: int, explicit: bool) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm2_l = (nn.LayerNorm(width, 1e-6) for _ in range(3))
        self.attn, self.mlp, self.mlp_l = Attention(width, heads, explicit), Mlp(width), Mlp(width)

    def forward(self, x: torch.Tensor, first: int, mask: torch.Tensor | None) -> torch.Tensor:
        x = x + self.attn(self.norm1(x), mask)
        frontal, lateral = x[:, :first], x[:, first:]
        told = self.mlp(self.norm2(frontal))
        if lateral.shape[1]:
            told = torch.cat([told, self.mlp_l(self.norm2_l(lateral))], 1)
        return x + told


class ViT(nn.Module):
    """Films of one view or two -> tokens; absent lateral films are masked as keys."""

    def __init__(self, sizes: Sizes, explicit: bool) -> None:
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, sizes.width, sizes.patch, sizes.patch)
        count = (sizes.side // sizes.patch) ** 2
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + count, sizes.width))
        blocks = (Block(sizes.width, sizes.heads, explicit) for _ in range(sizes.layers))
        self.blocks, self.norm = nn.ModuleList(blocks), nn.LayerNorm(sizes.width, 1e-6)

    def patches(self, images: torch.Tensor) -> torch.Tensor:
        return self.patch_embed.proj(images).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]

    def forward(self, frontal, lateral=None, there=None) -> torch.Tensor:
        first = self.patches(frontal)
        begin = (self.cls_token + self.pos_embed[:, :1]).expand(len(first), -1, -1)
        x, mask = torch.cat([begin, first], 1), None
        count = x.shape[1]
        if lateral is not None:
            x = torch.cat([x, self.patches(lateral)], 1)
            mask = x.new_zeros(len(x), 1, 1, x.shape[1])
            mask[~there, :, :, count:] = -torch.inf
        for block in self.blocks:
            x = block(x, count, mask)
        return self.norm(x)


class Head(nn.Module):
    """Linear, BatchNorm, ReLU, linear, BatchNorm, over rows of features."""

    def __init__(self, width: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Linear(width, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, dim),
            nn.BatchNorm1d(dim, affine=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


class ImageEncoder(nn.Module):
    def __init__(self, sizes: Sizes, explicit: bool) -> None:
        super().__init__()
        self.model = ViT(sizes, explicit)
        shape = (sizes.width, sizes.hidden, sizes.dim)
        self.global_embed, self.local_embed = Head(*shape), Head(*shape)


class BertSelf(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))


class Output(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(inputs, width), nn.LayerNorm(width, 1e-12)

    def forward(self, x: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        x = functional.dropout(self.dense(x), 0.1, self.training)
        return self.LayerNorm(x + shortcut)


class BertLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = nn.Module()
        self.attention.self, self.attention.output = BertSelf(width), Output(width, width)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(width, 4 * width)
        self.output = Output(4 * width, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        part = self.attention.self
        query, key, value = (
            layer(x).reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)
            for layer in (part.query, part.key, part.value)
        )
        scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5 + mask
        kept = functional.dropout(torch.softmax(scores, -1), 0.1, self.training)
        mixed = (kept @ value).transpose(1, 2).reshape(x.shape)
        x = self.attention.output(mixed, x)
        return self.output(functional.gelu(self.intermediate.dense(x)), x)


class Bert(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embeddings, self.encoder = nn.Module(), nn.Module()
        width = sizes.text_width
        self.embeddings.word_embeddings = nn.Embedding(sizes.vocabulary, width)
        self.embeddings.position_embeddings = nn.Embedding(sizes.positions, width)
        self.embeddings.LayerNorm = nn.LayerNorm(width, 1e-12)
        layers = (BertLayer(width, sizes.text_heads) for _ in range(sizes.text_layers))
        self.encoder.layer = nn.ModuleList(layers)

    def forward(self, ids: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        words = self.embeddings.word_embeddings(ids)
        x = self.embeddings.LayerNorm(
            words + self.embeddings.position_embeddings.weight[None, : ids.shape[1]]
        )
        x = functional.dropout(x, 0.1, self.training)
        mask = (~there)[:, None, None] * -10000.0
        for layer in self.encoder.layer:
            x = layer(x, mask)
        return x


class TextEncoder(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.model = Bert(sizes)
        shape = (sizes.text_width, sizes.hidden, sizes.dim)
        self.global_embed, self.local_embed = Head(*shape), Head(*shape)


class Batch(NamedTuple):
    """Of films and reports; the first rows are whole sequences of four."""

    frontal: torch.Tensor
    lateral: torch.Tensor | None
    there: torch.Tensor | None
    ids: torch.Tensor
    mask: torch.Tensor
    words: torch.Tensor
    """The word of every token, -1 for none."""


class MedST(nn.Module):
    """Both encoders and the weights of words and patches."""

    def __init__(self, sizes: Sizes, explicit: bool = False) -> None:
        super().__init__()
        self.img_encoder_q, self.text_encoder_q = ImageEncoder(sizes, explicit), TextEncoder(sizes)
        self.word_element_wise_multi_head = nn.MultiheadAttention(sizes.dim, 1, batch_first=True)
        self.patch_element_wise_multi_head = nn.MultiheadAttention(sizes.dim, 1, batch_first=True)

    def films(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings of films seen alone."""
        tokens = self.img_encoder_q.model(images)
        return functional.normalize(self.img_encoder_q.global_embed(tokens[:, 0]), dim=-1)

    def reports(self, ids: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Embeddings of texts."""
        last = self.text_encoder_q.model(ids, there)
        return self.text_encoder_q.global_embed(last[:, 0])

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the three losses."""
        image, text = self.img_encoder_q, self.text_encoder_q
        tokens = image.model(batch.frontal, batch.lateral, batch.there)
        v = functional.normalize(image.global_embed(tokens[:, 0]), dim=-1)
        patches = functional.normalize(image.local_embed(tokens[:, 1:]), dim=-1)
        last = text.model(batch.ids, batch.mask)
        rows = torch.arange(batch.ids.shape[1])
        belongs = batch.words[:, None] == rows[None, :, None]
        summed = torch.bmm(belongs.to(last.dtype), last)[:, 1:]
        t = functional.normalize(text.global_embed(last[:, 0]), dim=-1)
        words = functional.normalize(text.local_embed(summed), dim=-1)
        is_word = belongs.any(-1)[:, 1:]
        there = torch.ones(patches.shape[:2], dtype=torch.bool)
        if batch.there is not None:
            there[:, patches.shape[1] // 2 :] = batch.there[:, None]
        local = self.local(words, patches, is_word, there)
        return contrast(v, t), local, sequence_loss(v, t)

    def local(self, words, patches, is_word, there) -> torch.Tensor:
        seen = functional.normalize(attended(words, patches, there), dim=-1)
        found = functional.normalize(attended(patches, words, is_word), dim=-1)
        of_words = learned(self.word_element_wise_multi_head, words, seen, is_word)
        of_patches = learned(self.patch_element_wise_multi_head, patches, found, there)
        return matching(words, seen, of_words, is_word) + matching(
            patches, found, of_patches, there
        )


def attended(queries, keys, allowed) -> torch.Tensor:
    scores = queries @ keys.transpose(1, 2) / LOCAL
    return torch.softmax(scores.masked_fill(~allowed[:, None], -torch.inf), -1) @ keys


def learned(layer, tokens, seen, valid) -> torch.Tensor:
    matched = functional.normalize(tokens * seen, dim=-1)
    share = valid[..., None].to(matched.dtype)
    mean = (matched * share).sum(1, keepdim=True) / share.sum(1, keepdim=True)
    return layer(mean, matched, matched, key_padding_mask=~valid)[1][:, 0]


def matching(tokens, seen, weights, valid) -> torch.Tensor:
    logits = tokens @ seen.transpose(1, 2) / LOCAL
    pairs = valid[:, :, None] & valid[:, None] | torch.eye(tokens.shape[1], dtype=torch.bool)
    logits = logits.masked_fill(~pairs, -torch.inf)
    positive = logits.diagonal(dim1=1, dim2=2)
    both = torch.logsumexp(logits, 2) + torch.logsumexp(logits, 1)
    return ((both / 2 - positive) * weights).sum(1).mean()


def contrast(v: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    logits, truth = v @ t.T / TEMPERATURE, torch.arange(len(v))
    return functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)


def sequence_loss(v: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """All rows are of sequences of four."""
    v, t = v.reshape(-1, 4, v.shape[-1]), t.reshape(-1, 4, t.shape[-1])
    return cycle_loss(v, t) + cycle_loss(t, v)


def cycle_loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    def logits(a, b):
        square = (a * a).sum(-1)[:, :, None] + (b * b).sum(-1)[:, None]
        return -torch.clamp(square - 2 * a @ b.transpose(1, 2), min=0) / TEMPORAL

    forward = torch.log_softmax(logits(x, y), -1)
    places = torch.softmax(logits(forward.exp() @ y, x), -1)
    time = torch.arange(4) / (4 + TINY)
    mean = places @ time
    variance = (places * (time - mean[..., None]) ** 2).sum(-1)
    spread = torch.log(variance + TINY)
    error = torch.exp(-spread) * (time - mean) ** 2 + 0.001 * spread
    return (error - forward.diagonal(dim1=1, dim2=2)).mean()
