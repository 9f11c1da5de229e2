"""The peer that curvefleet's worker is measured against: the same work in PyTorch and scikit-learn, one thread, tuned.

    python peer.py lstm-epoch                     one training epoch of a large network
    python peer.py probe-epoch --probe sklearn    3-NN accuracies at every time step of one epoch
    python peer.py run --data FOLDER --set natops --pair 1.0 2.0 --out curves.csv     whole runs: data, training, probe, scores

Each prints one line of JSON with seconds (median of the repeats) and peak memory. Written on its own from the method's description, it
shares no code and no random numbers with the worker: curves of the two agree in distribution, not digit by digit.
"""

import os
import sys

# Read by the libraries when they load, so the process starts once more with them. glibc by default gives large buffers back to the kernel
# and faults them in again at every use, which adds a third to the training time. What is set already stays.
TUNED = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(10**11),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
if __name__ == "__main__" and not TUNED.keys() <= os.environ.keys():
    os.execve(sys.executable, [sys.executable, *sys.argv], TUNED | os.environ)

import argparse
import csv
import json
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

NEIGHBOURS = 3
# Samples per forward pass where the batch does not matter.
EVALUATED_AT_ONCE = 512
# Distances that the torch probe computes at once: 16 MB, so that they stay near the cache.
DISTANCES_AT_ONCE = 4 * 2**20


# --- Data: sequences [time, feature] with labels -----------------------------------------------------------------------------------


class Sequences(NamedTuple):
    x: torch.Tensor  # [n, T, D], zero where padded
    y: np.ndarray  # class names, [n]
    last_step: torch.Tensor  # each sequence's own last step, [n]


def read_natops(folder):
    lines = []
    for part in ["TRAIN", "TEST"]:
        text = (folder / "gesture" / f"NATOPS_{part}.ts").read_text()
        lines += text.split("@data", 1)[1].split()
    rows = [line.split(":") for line in lines]
    x = np.array([[dimension.split(",") for dimension in row[:-1]] for row in rows], dtype=np.float32)
    x = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 1)))
    return Sequences(x, np.array([row[-1] for row in rows]), torch.full([len(x)], x.shape[1] - 1))


def basic_english(text):
    """torchtext's tokenizer of that name."""
    text = text.lower()
    for old, new in [
        ("'", " '  "),
        ('"', ""),
        (".", " . "),
        ("<br />", " "),
        (",", " , "),
        ("(", " ( "),
        (")", " ) "),
        ("!", " ! "),
        ("?", " ? "),
        (";", " "),
        (":", " "),
    ]:
        text = text.replace(old, new)
    return text.split()


def read_emotion(folder):
    lines = (folder / "sentence" / "emotion_train.txt").read_text(encoding="utf-8").splitlines()
    texts, labels = zip(*(line.rsplit(";", 1) for line in lines))
    sentences = [basic_english(text) for text in texts]
    vectors = read_glove(folder / "glove" / "glove.6B.50d.subset.txt", {word for words in sentences for word in words})
    # Row 0 is the zero vector: padding and unknown words.
    row = {word: index for index, word in enumerate(vectors, start=1)}
    table = torch.from_numpy(np.stack([np.zeros(50, np.float32), *vectors.values()]))
    ids = torch.zeros(len(sentences), max(map(len, sentences)), dtype=torch.int64)
    for sentence, words in zip(ids, sentences):
        sentence[: len(words)] = torch.tensor([row.get(word, 0) for word in words])
    last_step = torch.tensor([max(len(words), 1) - 1 for words in sentences])
    return Sequences(table[ids], np.array(labels), last_step)


def read_glove(path, words):
    vectors = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            word, numbers = line.split(" ", 1)
            if word in words:
                vectors[word] = np.array(numbers.split(), dtype=np.float32)
    return vectors


def select(data, pair, shuffled_whole):
    """The sequences of two classes, the first labelled 0; `shuffled_whole` permutes the labels of the whole data set before."""
    names = np.random.default_rng(0).permutation(data.y) if shuffled_whole else data.y
    kept = np.flatnonzero(np.isin(names, pair))
    y = torch.from_numpy((names[kept] == pair[1]).astype(np.int64))
    return Sequences(data.x[kept], y, data.last_step[kept])


# --- Splits: indices of training, validation and test samples ----------------------------------------------------------------------


def cut(samples):
    """80% and the rest."""
    first = len(samples) * 4 // 5
    return samples[:first], samples[first:]


def oversample(random, samples, y):
    """Appends members of the smaller class, drawn with replacement, until both have as many."""
    members = [samples[y[samples] == label] for label in (0, 1)]
    most = max(map(len, members))
    copies = [random.choice(member, most - len(member)) for member in members]
    return np.concatenate([samples, *copies])


def sound_split(random, y):
    """Within each class; copies among the training samples alone."""
    parts = []
    for label in (0, 1):
        pool, test = cut(random.permutation(np.flatnonzero(y == label)))
        parts.append([*cut(pool), test])
    train, validation, test = (np.concatenate(part) for part in zip(*parts))
    return oversample(random, train, y), validation, test


def paper_split(random, y):
    """Over all samples; copies before the second cut, so that they leak into validation."""
    pool, test = cut(random.permutation(len(y)))
    train, validation = cut(random.permutation(oversample(random, pool, y)))
    return train, validation, test


# --- Network and training ----------------------------------------------------------------------------------------------------------


class Network(nn.Module):
    """Batch norm with time as the channel, LSTM, linear read-out; hidden size = features."""

    def __init__(self, time, features, classes=2):
        super().__init__()
        self.bn = nn.BatchNorm1d(time)
        self.lstm = nn.LSTM(features, features, batch_first=True)
        self.fc = nn.Linear(features, classes)

    def forward(self, x, last_step):
        """Hidden states [B, T, H], and logits from those at `last_step` [B]."""
        states = self.lstm(self.bn(x))[0]
        return states, self.fc(states[torch.arange(len(x)), last_step])


def train_epoch(network, adam, data, train, batch, keep=None):
    """One pass in a new order: gives the order and the mean loss; `keep` [T, n, H] receives each batch's states, before its update."""
    order = torch.randperm(len(train))
    losses = 0.0
    for start in range(0, len(order), batch):
        samples = train[order[start : start + batch]]
        states, logits = network(data.x[samples], data.last_step[samples])
        if keep is not None:
            keep[:, start : start + batch] = states.detach().transpose(0, 1)
        loss = cross_entropy(logits, data.y[samples])
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses += loss.item() * len(samples)
    return order, losses / len(order)


@torch.no_grad()
def passes(network, data, samples, batch):
    """States [T, n, H] and logits [n, 2] of some samples in the network's present mode."""
    outputs = [network(data.x[part], data.last_step[part]) for part in samples.split(batch)]
    states = torch.cat([states.transpose(0, 1) for states, _ in outputs], dim=1)
    return states, torch.cat([logits for _, logits in outputs])


def scores(logits, y):
    return cross_entropy(logits, y).item(), (logits.argmax(1) == y).double().mean().item()


def run(data, seed, settings):
    """One run (method 2.1 to 2.6); yields a row of the table per epoch."""
    sound = settings.preset == "sound"
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    if settings.labels == "shuffled" and sound:
        data = data._replace(y=torch.from_numpy(random.permutation(data.y.numpy())))
    if not sound:
        data = data._replace(last_step=torch.full_like(data.last_step, data.x.shape[1] - 1))
    split = sound_split if sound else paper_split
    train, validation, test = map(torch.from_numpy, split(random, data.y.numpy()))
    # Each sample once for the extra pass, and where in that its copies are.
    distinct, copies = train.unique(return_inverse=True)

    time_steps, features = data.x.shape[1:]
    network = Network(time_steps, features)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    kept = None if sound else torch.empty(time_steps, len(train), features)
    for epoch in range(1, settings.epochs + 1):
        network.train()
        order, train_loss = train_epoch(network, adam, data, train, settings.batch, kept)
        # The paper never leaves training mode: its scores normalise with batch statistics and move the running ones.
        network.train(not sound)
        at_once = EVALUATED_AT_ONCE if sound else settings.batch
        validation_states, logits = passes(network, data, validation, at_once)
        validation_scores = scores(logits, data.y[validation])
        if sound:
            fitted = passes(network, data, distinct, at_once)[0][:, copies], data.y[train]
            scored = validation_states, data.y[validation]
        else:
            fitted = scored = kept, data.y[train[order]]
        curve = probe_curve(settings.probe, *fitted, *scored)
        test_accuracy = ""
        if epoch == settings.epochs:
            test_accuracy = scores(passes(network, data, test, at_once)[1], data.y[test])[1]
        yield [seed, epoch, train_loss, *validation_scores, test_accuracy, *curve]


# --- Probe: accuracy of 3 nearest neighbours at every time step ---------------------------------------------------------------------
# Of equally near neighbours each library takes the one it likes; the worker takes the lower index.


def probe_curve(probe, fit, fit_y, query, query_y):
    """Fitted on `fit` [T, n, H], scored on `query` [T, m, H]: T accuracies."""
    nearest = {"sklearn": nearest_sklearn, "sklearnex": nearest_sklearn, "torch-cdist": nearest_cdist, "torch": nearest_torch}[probe]
    # Steps that are searched together: more where the data are small and calls are what costs.
    steps = max(1, DISTANCES_AT_ONCE // (fit.shape[1] * query.shape[1]))
    curve = []
    for some_fit, some_query in zip(fit.split(steps), query.split(steps)):
        votes = fit_y[nearest(probe, some_fit, some_query)].sum(2)
        curve += ((votes * 2 > NEIGHBOURS) == query_y).double().mean(1).tolist()
    return curve


def nearest_torch(_, fit, query):
    """|f|^2 - 2 f.q orders the neighbours of q as the distance does, with two passes less over the matrix than cdist."""
    distances = torch.baddbmm((fit * fit).sum(2).unsqueeze(1), query, fit.transpose(1, 2), alpha=-2)
    return distances.topk(NEIGHBOURS, largest=False, sorted=False).indices


def nearest_cdist(_, fit, query):
    return torch.cdist(query, fit).topk(NEIGHBOURS, largest=False, sorted=False).indices


def nearest_sklearn(probe, fit, query):
    """kneighbors and a vote are a little faster than KNeighborsClassifier.score, and give the same."""
    if probe == "sklearnex":
        from sklearnex.neighbors import NearestNeighbors
    else:
        from sklearn.neighbors import NearestNeighbors
    search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute", n_jobs=1)
    pairs = zip(fit.numpy(), query.numpy())
    return torch.from_numpy(np.stack([search.fit(f).kneighbors(q, return_distance=False) for f, q in pairs]).astype(np.int64))


# --- Commands ----------------------------------------------------------------------------------------------------------------------


def timed(repeats, work):
    """Seconds of each repeat, after one that warms up, and the last result."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return seconds[1:], result


def lstm_epoch(settings):
    torch.manual_seed(0)
    n, time_steps, features = settings.size
    data = Sequences(torch.randn(n, time_steps, features), torch.randint(0, 2, (n,)), torch.full((n,), time_steps - 1))
    network = Network(time_steps, features)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    seconds, (_, loss) = timed(settings.repeats, lambda: train_epoch(network, adam, data, torch.arange(n), settings.batch))
    return {"size": settings.size, "batch": settings.batch, "loss": loss}, seconds


def probe_epoch(settings):
    torch.manual_seed(0)
    n, time_steps, features = settings.size
    # The states of an LSTM as it is initialised, on the random sequences of lstm-epoch.
    with torch.no_grad():
        states, _ = torch.nn.LSTM(features, features, batch_first=False)(torch.randn(time_steps, n, features))
    y = torch.randint(0, 2, (n,))
    seconds, curve = timed(settings.repeats, lambda: probe_curve(settings.probe, states, y, states, y))
    return {"size": settings.size, "probe": settings.probe, "accuracy": statistics.mean(curve)}, seconds


def whole_runs(settings):
    read = {"natops": read_natops, "emotion": read_emotion}[settings.set]
    start = time.perf_counter()
    data = select(read(settings.data), settings.pair, settings.labels == "shuffled" and settings.preset == "paper")
    reading = time.perf_counter() - start
    header = ["seed", "epoch", "train_loss", "validation_loss", "validation_accuracy", "test_accuracy"]
    seconds = []
    with settings.out.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(header + [f"c{step}" for step in range(data.x.shape[1])])
        for seed in settings.seeds:
            start = time.perf_counter()
            table.writerows(run(data, seed, settings))
            seconds.append(time.perf_counter() - start)
    chosen = {key: getattr(settings, key) for key in ["set", "pair", "labels", "preset", "batch", "epochs", "probe"]}
    # The first run also loads what torch loads late.
    once = {"reading_seconds": round(reading, 3), "first_seconds": round(seconds[0], 3), "total_seconds": round(reading + sum(seconds), 3)}
    return chosen | {"size": list(data.x.shape)} | once, seconds


def memory_mb(key):
    """VmRSS, what the process holds now, or VmHWM, the most that it has held."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{key}:")[1].split()[0]) // 1024


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    probes = ["sklearn", "sklearnex", "torch-cdist", "torch"]

    for name, work in [("lstm-epoch", lstm_epoch), ("probe-epoch", probe_epoch)]:
        command = commands.add_parser(name)
        command.set_defaults(work=work)
        command.add_argument("--size", type=int, nargs=3, metavar=("N", "T", "D"), default=[1024, 150, 274])
        command.add_argument("--repeats", type=int, default=3)
    commands.choices["lstm-epoch"].add_argument("--batch", type=int, default=128)
    commands.choices["probe-epoch"].add_argument("--probe", choices=probes, default="torch")

    command = commands.add_parser("run")
    command.set_defaults(work=whole_runs)
    command.add_argument("--data", type=Path, required=True, help="folder with gesture/, sentence/ and glove/")
    command.add_argument("--set", choices=["natops", "emotion"], required=True)
    command.add_argument("--pair", nargs=2, metavar=("A", "B"), required=True)
    command.add_argument("--labels", choices=["true", "shuffled"], default="true")
    command.add_argument("--preset", choices=["sound", "paper"], default="sound")
    command.add_argument("--seeds", type=int, nargs="+", default=[0])
    command.add_argument("--epochs", type=int, default=50)
    command.add_argument("--batch", type=int, default=128)
    command.add_argument("--probe", choices=probes, default="torch", help="torch is fastest on small data, sklearnex on large")
    command.add_argument("--out", type=Path, required=True, help="CSV with a row per seed and epoch")
    return parser.parse_args()


def main():
    settings = arguments()
    torch.set_num_threads(1)
    imported_mb = memory_mb("VmRSS")
    result, seconds = settings.work(settings)
    result = {"command": settings.command, "seconds": round(statistics.median(seconds), 4), "repeats": len(seconds)} | result
    print(json.dumps(result | {"peak_rss_mb": memory_mb("VmHWM"), "rss_after_imports_mb": imported_mb, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
