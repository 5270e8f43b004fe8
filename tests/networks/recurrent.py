"""Networks for text and other sequences: embedding tables, recurrent layers, convolutions over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import ASK, ASK_ALWAYS, Case, tokens


class Recurrent(nn.Module):
    """An embedding table, a recurrent layer of any kind and a classifier of any name."""

    def __init__(
        self, kind: type[nn.RNNBase], head: str, classes: int, vocabulary: int = 1000, width: int = 32, **options: object
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 24)
        self.rnn = kind(24, width, batch_first=True, **options)
        features = width * (2 if options.get("bidirectional") else 1)
        self.add_module(head, nn.Linear(features, classes))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.rnn(self.embedding(x))[0].mean(1))


class TextCnn(nn.Module):
    """Kim's text CNN: convolutions of several widths over word vectors."""

    def __init__(self, head: str, classes: int, filters: int = 16, vocabulary: int = 1000, tables: int = 1) -> None:
        super().__init__()
        self.static = nn.Embedding(vocabulary, 32)
        if tables == 2:
            self.tuned = nn.Embedding(vocabulary, 32)
        self.convs = nn.ModuleList(nn.Conv2d(1, filters, (width, 32)) for width in (2, 3, 4))
        self.add_module(head, nn.Linear(3 * filters, classes))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        x = (self.static(x) + (self.tuned(x) if hasattr(self, "tuned") else 0))[:, None]
        pooled = [fn.relu(conv(x)).flatten(2).amax(2) for conv in self.convs]
        return self.get_submodule(self.last)(torch.cat(pooled, 1))


class TextTransformer(nn.Module):
    """Token and position tables, encoder layers, and BERT's pooler before the classifier."""

    def __init__(
        self, head: str, classes: int, width: int = 32, pooler: str | None = "pooler", positions: int = 40
    ) -> None:
        super().__init__()
        self.tok_emb = nn.Embedding(500, width)
        self.pos_emb = nn.Embedding(positions, width)
        self.type_emb = nn.Embedding(2, width)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2)
        if pooler:
            self.add_module(pooler, nn.Linear(width, width))
        self.add_module(head, nn.Linear(width, classes))
        self.last, self.pooler_name = head, pooler

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1])
        x = self.layers(self.tok_emb(x) + self.pos_emb(places) + self.type_emb.weight[0])[:, 0]
        if self.pooler_name:
            x = torch.tanh(self.get_submodule(self.pooler_name)(x))
        return self.get_submodule(self.last)(x)


class AttentiveLstm(nn.Module):
    """A bidirectional LSTM with additive attention, whose score layer is registered after the classifier or before."""

    def __init__(self, head: str, classes: int, width: int = 20) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(800, 32)
        self.lstm = nn.LSTM(32, width, batch_first=True, bidirectional=True)
        self.W_a = nn.Linear(2 * width, width)
        self.u = nn.Parameter(torch.randn(width))
        self.add_module(head, nn.Linear(2 * width, classes))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.lstm(self.word_embeddings(x))[0]
        weights = (torch.tanh(self.W_a(hidden)) @ self.u).softmax(1)
        return self.get_submodule(self.last)((weights[:, :, None] * hidden).sum(1))


CASES = [
    Case("gru_clf", lambda: Recurrent(nn.GRU, "clf", 11), "clf", inputs=tokens(1000)),
    Case("textcnn_fc", lambda: TextCnn("fc", 4), "fc", inputs=tokens(1000)),
    Case("text_transformer", lambda: TextTransformer("classifier", 6), "classifier", inputs=tokens(500)),
    Case("text_transformer_no_pooler", lambda: TextTransformer("lbl", 14, pooler=None), "lbl", inputs=tokens(500)),
    Case("attentive_lstm", lambda: AttentiveLstm("label", 10), "label", inputs=tokens(800), **ASK),
    Case(
        "attentive_lstm_scores_are_classes", lambda: AttentiveLstm("label", 20), "label", inputs=tokens(800), **ASK_ALWAYS
    ),
]
