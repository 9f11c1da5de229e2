"""Writes models.json: forward passes, gradients and Adam updates of PyTorch's networks in float64.

Kinds: gru, rnn (Elman, tanh), lstm with two layers, transformer (causal, pre-norm) and mean-pool, each behind batch normalisation with
time as the channel and before a linear read-out. The schema is that of lstm_bn_adam.json; besides,

- a case has `kind`, `layers` and, for the transformer, `heads`;
- parameters have torch's names and shapes; steps differ in their batch size, which is the length of `y`;
- where a step has `last_steps`, sample n is read out at step `last_steps[n]`, else at the last one;
- `no_gradient` names the ranges of a parameter that the loss does not depend on (a bias added to all keys of an attention cancels in its
  softmax). Their gradients are rounding noise, which Adam can blow up to whole steps in float32: leave them out of comparisons.

    pip install torch==2.15.0 numpy==2.4.6
    python models.py
"""

import json
from pathlib import Path

import torch
from torch import nn

ADAM = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
BATCH_NORM = {"eps": 1e-5, "momentum": 0.1, "running_var": "unbiased"}
LAYER_NORM_EPSILON = 1e-5


class Recurrent(nn.Module):
    """bn -> gru, rnn or lstm -> fc; the states are the top layer's outputs."""

    def __init__(self, kind, time, features, hidden, classes, layers):
        super().__init__()
        self.bn = nn.BatchNorm1d(time)
        recurrence = {"gru": nn.GRU, "rnn": nn.RNN, "lstm": nn.LSTM}[kind]
        self.kind = kind
        setattr(self, kind, recurrence(features, hidden, num_layers=layers, batch_first=True))
        self.fc = nn.Linear(hidden, classes)

    def states(self, x):
        return getattr(self, self.kind)(self.bn(x))[0]


class Transformer(nn.Module):
    """bn -> embed + positions -> encoder with a causal mask -> fc; the states are the encoder's outputs."""

    def __init__(self, time, features, hidden, classes, layers, heads):
        super().__init__()
        self.bn = nn.BatchNorm1d(time)
        self.embed = nn.Linear(features, hidden)
        self.positions = nn.Parameter(torch.randn(time, hidden))
        layer = nn.TransformerEncoderLayer(
            hidden,
            heads,
            dim_feedforward=4 * hidden,
            dropout=0.0,
            activation="gelu",
            layer_norm_eps=LAYER_NORM_EPSILON,
            batch_first=True,
            norm_first=True,
        )
        norm = nn.LayerNorm(hidden, eps=LAYER_NORM_EPSILON)
        self.encoder = nn.TransformerEncoder(layer, layers, norm=norm, enable_nested_tensor=False)
        self.fc = nn.Linear(hidden, classes)

    def states(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype)
        return self.encoder(self.embed(self.bn(x)) + self.positions, mask=mask, is_causal=True)


class MeanPool(nn.Module):
    """bn -> mean of the steps so far -> fc; the states are those means, so there are as many hidden units as features."""

    def __init__(self, time, features, classes):
        super().__init__()
        self.bn = nn.BatchNorm1d(time)
        self.fc = nn.Linear(features, classes)

    def states(self, x):
        steps = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)
        return self.bn(x).cumsum(1) / steps[:, None]


def network(case):
    time, features, hidden, classes = (case[key] for key in "TDHC")
    if case["kind"] == "transformer":
        return Transformer(time, features, hidden, classes, case["layers"], case["heads"])
    if case["kind"] == "mean-pool":
        return MeanPool(time, features, classes)
    return Recurrent(case["kind"], time, features, hidden, classes, case["layers"])


def perturb(model):
    """Biases and scales that torch starts at 0 or 1 become random, as a mistake in a constant would not show.

    All parameters are rounded to six digits, so that the file has them exactly.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1 and torch.all(parameter == parameter[0]):
                parameter += 0.2 * torch.randn_like(parameter)
            parameter.copy_(torch.round(parameter, decimals=6))


def inputs(case, size):
    """Inputs [B, T, D], away from mean 0 and variance 1, so that batch norm has something to do."""
    shape = (size, case["T"], case["D"])
    return torch.round(0.3 + 1.4 * torch.randn(shape), decimals=4)


def read_out(states, last_steps):
    return states[torch.arange(len(states)), torch.tensor(last_steps)]


def numbers(tensor):
    return [float(f"{value:.12g}") for value in tensor.detach().flatten().tolist()]


def named(tensors):
    """Name -> shape and row-major data. BatchNorm's counter of batches is left out: nothing here reads it."""
    kept = [(name, tensor) for name, tensor in tensors if tensor is not None and not name.endswith("num_batches_tracked")]
    return {name: {"shape": list(tensor.shape), "data": numbers(tensor)} for name, tensor in kept}


def plain(tensors):
    return {name: entry["data"] for name, entry in named(tensors).items()}


def forward(model, case, size, own_last_steps):
    """A random batch through the model: its part of the record, states and logits."""
    x = inputs(case, size)
    record = {"x": numbers(x)}
    last_steps = [case["T"] - 1] * size
    if own_last_steps:
        last_steps = torch.randint(0, case["T"], (size,)).tolist()
        record["last_steps"] = last_steps
    states = model.states(x)
    return record, states, model.fc(read_out(states, last_steps))


def train_step(model, adam, case, size, own_last_steps):
    record, states, logits = forward(model, case, size, own_last_steps)
    y = torch.randint(0, case["C"], (size,))
    loss = nn.functional.cross_entropy(logits, y)
    adam.zero_grad()
    loss.backward()
    grads = plain((name, parameter.grad) for name, parameter in model.named_parameters())
    adam.step()
    return record | {
        "y": y.tolist(),
        "hidden_all": numbers(states),
        "logits": numbers(logits),
        "loss": numbers(loss)[0],
        "grads": grads,
        "params_after": plain(model.state_dict().items()),
    }


def no_gradient(case):
    """The keys' biases, the middle third of an attention's in_proj_bias: name -> [first, end)."""
    if case["kind"] != "transformer":
        return {}
    keys = [case["H"], 2 * case["H"]]
    return {f"encoder.layers.{layer}.self_attn.in_proj_bias": keys for layer in range(case["layers"])}


def run(sizes, own_last_steps=False, **case):
    """One case: as many steps as there are batch sizes, then a batch in evaluation mode."""
    case = {"B": sizes[0]} | case
    model = network(case)
    perturb(model)
    adam = torch.optim.Adam(model.parameters(), lr=ADAM["lr"], betas=(ADAM["beta1"], ADAM["beta2"]), eps=ADAM["eps"])
    init = named(model.state_dict().items())
    model.train()
    steps = [train_step(model, adam, case, size, own_last_steps) for size in sizes]
    model.eval()
    with torch.no_grad():
        evaluated, states, logits = forward(model, case, sizes[0], own_last_steps)
    evaluated |= {"hidden_all": numbers(states), "logits": numbers(logits)}
    settings = {"adam": ADAM, "bn": BATCH_NORM, "no_gradient": no_gradient(case)}
    return case | settings | {"init": init, "steps": steps, "eval": evaluated}


def cases():
    for kind in ["gru", "rnn"]:
        yield run([4, 4, 3], kind=kind, T=5, D=3, H=4, C=2, layers=1)
        yield run([5, 5, 2], own_last_steps=True, kind=kind, T=4, D=2, H=5, C=3, layers=2)
    yield run([4, 4, 3], kind="lstm", T=6, D=3, H=4, C=2, layers=2)
    yield run([5, 5, 2], own_last_steps=True, kind="lstm", T=4, D=2, H=5, C=3, layers=2)
    yield run([4, 4, 1], kind="transformer", T=5, D=3, H=6, C=2, layers=1, heads=3)
    yield run([5, 5, 2], own_last_steps=True, kind="transformer", T=6, D=3, H=4, C=3, layers=2, heads=2)
    yield run([4, 4, 1], kind="mean-pool", T=5, D=3, H=3, C=2, layers=1)
    yield run([5, 5, 2], own_last_steps=True, kind="mean-pool", T=6, D=2, H=2, C=3, layers=1)


def main():
    torch.manual_seed(20250107)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)
    document = {
        "torch": torch.__version__.split("+")[0],
        "dtype": "float64",
        "layout": "row-major; weights (gates*H x in); gates lstm i,f,g,o, gru r,z,n; gelu exact; layer norm eps 1e-5",
        "cases": list(cases()),
    }
    text = json.dumps(document, separators=(",", ":"))
    Path(__file__).with_name("models.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
