"""Whether a generator copies its training set: are fakes nearer to it than test examples are?"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxgan.declarations import arguments
from jaxgan.errors import UserError
from jaxgan.metrics import FAMILIES
from jaxgan.metrics.distances import squared_distances
from jaxgan.metrics.features import check_features, check_width
from jaxgan.metrics.number import Number, describe


class Neighbours(NamedTuple):
    """The nearest training example of each query.

    Attributes:
      index: int64 `[N]`, of the training example; the first if several are equally near.
      distance: float64 `[N]`, Euclidean; 0 exactly for copies.
    """

    index: Int[np.ndarray, " N"]
    distance: Float[np.ndarray, " N"]

    def closest(self, count: int) -> Int[np.ndarray, " closest"]:
        """int64 `[count]`: the queries that are nearest to the training set, nearest first."""
        return np.argsort(self.distance, kind="stable")[:count]


def _nearest(train, queries):
    index = np.zeros(len(queries), np.int64)
    least = np.full(len(queries), np.inf)
    for rows, columns, squares in squared_distances(queries, train, train[0]):
        best = squares.argmin(axis=1)
        squares = squares[np.arange(len(best)), best]
        nearer = squares < least[rows]
        index[rows] = np.where(nearer, columns.start + best, index[rows])
        least[rows] = np.where(nearer, squares, least[rows])
    # recomputed from differences, which is exact also for near copies
    distance = [
        np.linalg.norm(query.astype(np.float64) - train[i]) for query, i in zip(queries, index, strict=True)
    ]
    return Neighbours(index, np.array(distance))


def nearest_training(
    train_features: Float[np.ndarray, "L D"], features: Float[np.ndarray, "N D"]
) -> Neighbours:
    """The nearest of the training examples `[L, D]` to each of `[N, D]`, in blocks; memory as for `prdc`.

    Features may be pixels, `images.reshape(len(images), -1)`; their type is kept, blocks are float64.
    """
    train = check_features(train_features, "training")
    features = check_features(features, "given")
    check_width(train, features)
    return _nearest(train, features)


def _nearer(test, fake):
    """#{(i, j): fake_j > test_i} of distances, ties half, and its z-score if both are of one distribution."""
    test = np.sort(test)
    pairs = len(test) * len(fake)
    farther = (np.searchsorted(test, fake, "left") + np.searchsorted(test, fake, "right")).sum() / 2
    return farther, (farther - pairs / 2) / np.sqrt(pairs * (len(test) + len(fake) + 1) / 12)


@FAMILIES["neighbours"].register("memorization")
@describe(
    {
        "nearer_than_test": Number(
            "", "how often a fake is nearer to the training set than a test example", 0, 1
        ),
        "data_copying_z": Number("", "nearer_than_test as a z-score; far below 0: copies the training set"),
        "copies": Number("lower", "share of fakes that are exact copies of training examples", 0, 1),
    }
)
def memorization(test: Neighbours, fake: Neighbours) -> dict[str, float]:
    """Whether fakes lie nearer to the training set than unseen real examples do.

    Args:
      test: `nearest_training` of real examples that are not in the training set.
      fake: `nearest_training` of fakes, from the same training set.

    Returns:
      `nearer_than_test`: P(a fake is nearer to the training set than a test example is), ties half; ½ for the
      data's own distribution, 1 for copies.
      `data_copying_z`: the Mann-Whitney U of the two sets of distances as a z-score, Z_U; standard normal for
      the data's own distribution, far below 0 for copying (-3 is 1 in 1,000), above 0 for underfitting.
      `copies`: the share of fakes that equal a training example exactly.

    A generator that copies dense regions and blurs others can have inconspicuous numbers; see `data_copying`.

    Source: Meehan, Chaudhuri and Dasgupta 2020, A Non-Parametric Test to Detect Data-Copying in Generative
    Models (Δ_T and Z_U, on the whole space).
    """
    farther, z = _nearer(test.distance, fake.distance)
    return {
        "nearer_than_test": float(1 - farther / (len(test.distance) * len(fake.distance))),
        "data_copying_z": float(z),
        "copies": float(np.mean(fake.distance == 0)),
    }


@FAMILIES["training"].register("data_copying")
@describe(
    {
        "data_copying_c_t": Number("", "z-score by cells of the data; far below 0: copies the training set"),
        "data_copying_cells": Number("", "number of cells in data_copying_c_t", 0),
    }
)
def data_copying(
    train_features: Float[np.ndarray, "L D"],
    test_features: Float[np.ndarray, "N D"],
    fake_features: Float[np.ndarray, "M D"],
    *,
    num_cells: int = 50,
    min_fakes: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """The C_T test: Z_U of `memorization` in cells of the space, averaged by the test set's share of each.

    C_T = Σ_π P(π) Z_U(π) / Σ_π P(π), over the cells π with enough fakes; P(π) is the share of test examples
    in π, and the neighbours in a cell are its own training examples.

    Args:
      train_features: `[L, D]`; the cells are its k-means clusters.
      test_features: `[n, D]`, real examples that are not in the training set.
      fake_features: `[m, D]`.
      num_cells: 50, as the authors use for MNIST. Each should have tens of test examples.
      min_fakes: cells with this many fakes or fewer are left out (τ = 20/m).
      seed: seed of k-means.

    Returns:
      `data_copying_c_t`: far below 0 if fakes copy the training set in most cells, 0 for the data's own
      distribution, above 0 for underfitting.
      `data_copying_cells`: the number of cells with enough fakes and with test examples.

    Source: as `memorization`, C_T; cells and τ as in the authors' MNIST experiment. Their code adds ½ to U.
    """
    from sklearn.cluster import KMeans  # late: scikit-learn takes a second to import

    num_cells = arguments.whole("num_cells", num_cells, 1)
    min_fakes = arguments.whole("min_fakes", min_fakes)
    seed = arguments.whole("seed", seed, 0, 2**32)
    train = check_features(train_features, "training", at_least=num_cells)
    test = check_features(test_features, "test")
    fake = check_features(fake_features, "fake")
    check_width(train, test)
    check_width(train, fake)
    clusters = KMeans(num_cells, n_init=1, random_state=seed, copy_x=False).fit(train.astype(np.float64))
    cells = clusters.labels_, *(clusters.predict(features.astype(np.float64)) for features in (test, fake))
    weights, scores = [], []
    for cell in range(num_cells):
        of_train, of_test, of_fake = (
            features[label == cell] for features, label in zip((train, test, fake), cells, strict=True)
        )
        if len(of_fake) > min_fakes and len(of_test):
            distances = [_nearest(of_train, features).distance for features in (of_test, of_fake)]
            weights.append(len(of_test))
            scores.append(_nearer(*distances)[1])
    if not scores:
        raise UserError(
            f"none of {num_cells} cells has more than {min_fakes} fakes and a test example: "
            "give more examples or fewer cells"
        )
    return {
        "data_copying_c_t": float(np.average(scores, weights=weights)),
        "data_copying_cells": float(len(scores)),
    }
