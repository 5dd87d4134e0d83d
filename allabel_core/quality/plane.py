"""A picture of the corpus: every text a point, texts that share rare words near each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, svds

from allabel_core.similarity.accelerate import default_threads, kernels
from allabel_core.similarity.counts import count_terms
from allabel_core.similarity.tokenize import Tokenizer, tokenize
from allabel_core.types import FloatArray

# The farthest of a hundred texts stands at tanh(1) of the picture's edge; outliers do not shrink the rest.
_QUANTILE = 0.99
_TOLERANCE = 0.01
_FEW_TEXTS = 1_000


def project(texts: Sequence[str], tokenizer: Tokenizer = tokenize) -> FloatArray:
    """(n, 2) in (-1, 1): the two directions in which the texts' tf-idf vectors differ most.

    Truncated singular value decomposition of the centred vectors, each of length 1 before centring;
    the same for the same texts. All zeros where there are fewer than four texts or different words.
    """
    vectors = _tf_idf(texts, tokenizer)
    if min(vectors.shape) < 4:
        return np.zeros((len(texts), 2))
    points = _exactly(vectors) if len(texts) <= _FEW_TEXTS else _nearly(vectors)
    points *= np.sign(points[np.abs(points).argmax(axis=0), [0, 1]])
    far = np.quantile(np.abs(points), _QUANTILE, axis=0)
    scaled: FloatArray = np.tanh(points / np.where(far > 1e-9, far, 1.0))
    return scaled


def _exactly(vectors: csr_array) -> FloatArray:
    """(n, 2): from the matrix of all products, centred on both sides."""
    products = (vectors @ vectors.T).toarray()
    products -= products.mean(axis=0)
    products -= products.mean(axis=1, keepdims=True)
    strengths, directions = np.linalg.eigh(products)
    points: FloatArray = directions[:, [-1, -2]] * np.sqrt(np.maximum(0.0, strengths[[-1, -2]]))
    return points


def _nearly(vectors: csr_array) -> FloatArray:
    """(n, 2), to a hundredth, without ever holding the centred vectors."""
    mean = np.asarray(vectors.mean(axis=0)).ravel()
    centred = LinearOperator(
        vectors.shape,
        matvec=lambda v: vectors @ v.ravel() - mean @ v.ravel(),
        rmatvec=lambda u: vectors.T @ u.ravel() - mean * u.sum(),
        dtype=np.float64,
    )
    start = np.random.default_rng(0).standard_normal(min(vectors.shape))
    left, strengths, _ = svds(centred, k=2, v0=start, tol=_TOLERANCE)
    order = np.argsort(-strengths, kind="stable")
    points: FloatArray = left[:, order] * strengths[order]
    return points


def _tf_idf(texts: Sequence[str], tokenizer: Tokenizer) -> csr_array:
    """(texts, words that more than one text has), rows of length 1."""
    rows = count_terms(texts, tokenizer, kernels=kernels(), threads=default_threads())
    n = len(rows.starts) - 1
    found = rows.texts_with
    idf = np.where(found > 1, np.log(max(1, n) / np.maximum(1, found)) + 1.0, 0.0)
    values = (1 + np.log(rows.counts, dtype=np.float64)) * idf[rows.terms]
    table = csr_array((values, rows.terms, rows.starts), shape=(n, len(rows.vocabulary)))
    table = table[:, np.flatnonzero(found > 1)]
    lengths = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel())
    scale = np.divide(1.0, lengths, out=np.zeros(n), where=lengths > 0)
    table.data *= np.repeat(scale, np.diff(table.indptr))
    return table
