"""What every model promises of a batch that is cut in parts."""

import copy
import itertools

import numpy as np
import paddle

from shared.robust import RandomReplacement

from .half import halve_weights, rounded


def gradients(built):
    """Every parameter's gradient, float64; zeros where there is none. They are taken away."""
    found = {
        name: np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.numpy().astype(np.float64)
        for name, parameter in built.named_parameters()
    }
    built.clear_gradients()
    return found


def whole_and_parts(built, collate, rows, cuts, value):
    """``value(batch, divisors)`` [] and gradients of the batch of ``rows``, and sums of those of its parts, each collated for itself."""
    batch = collate(rows)
    loss = value(batch, None)
    loss.backward()
    parts = [collate(part) for part in np.split(np.asarray(rows), cuts)]
    whole = float(loss), gradients(built)
    own = [built.divisors(part) for part in parts]
    divisors = {name: sum(part[name] for part in own) for name in own[0]}
    assert divisors == built.divisors(batch)
    total = 0.0
    for part in parts:
        loss = value(part, divisors)
        loss.backward()
        total += float(loss)
    return whole, (total, gradients(built))


def check_parts_add_up(built, collate, rows, cuts, value):
    """The same loss and the same gradients; ``built`` without dropout."""
    (loss, grads), (total, sums) = whole_and_parts(built, collate, rows, cuts, value)
    np.testing.assert_allclose(total, loss, rtol=1e-5, atol=1e-9)
    scale = max(np.abs(gradient).max() for gradient in grads.values())
    for name, gradient in grads.items():
        np.testing.assert_allclose(sums[name], gradient, rtol=1e-4, atol=2e-6 * scale, err_msg=name)
    return loss


def check_divergence(built, collate, rows, cuts):
    """0 between equal outputs, above 0 between others, finite gradients, the same in parts; ``built`` without dropout."""
    built.eval()
    batch = collate(rows)
    loss, outputs = built.examine(batch)
    assert float(loss) == float(built.loss(batch))
    assert float(built.divergence(outputs, built.examine(batch)[1], batch)) == 0
    other = _moved(built)

    def apart(part, divisors):
        return built.divergence(built.examine(part, divisors)[1], other.examine(part, divisors)[1], part, divisors)

    value = check_parts_add_up(built, collate, rows, cuts, apart)
    assert value > 0 and value == float(apart(batch, built.divisors(batch)))
    turned = built.divergence(other.examine(batch)[1], outputs, batch)
    np.testing.assert_allclose(float(turned), value, rtol=1e-4)
    return value


def _moved(built):
    """A copy with every weight moved: what dropout does to a pass, but the same for any batch."""
    other = copy.deepcopy(built)
    rng = np.random.default_rng(9)
    for parameter in other.parameters():
        parameter.set_value(parameter.numpy() + rng.normal(0, 0.05, parameter.shape).astype(np.float32))
    return other


def check_smoothing(make, collate, rows, cuts, expected):
    """No smoothing is the plain loss bit for bit; with it the loss is ``expected(built, batch, smoothing)``, with finite gradients."""
    batch = collate(make(), rows)
    plain = float(make().loss(batch))
    assert float(make(label_smoothing=0.0).loss(batch)) == plain
    for smoothing in (0.05, 0.5):
        built = make(label_smoothing=smoothing)
        value = check_parts_add_up(built, lambda part, model=built: collate(model, part), rows, cuts, built.loss)
        np.testing.assert_allclose(value, expected(built, batch, smoothing), rtol=1e-4)
        assert abs(value - plain) > 1e-3 * plain
        built.loss(batch).backward()
        assert all(np.isfinite(gradient).all() for gradient in gradients(built).values())


def check_replacement(built, batch, vocabulary, *, inside):
    """``inside`` [b, l]: where the text is. Only there ids change, to words of the same row's text; nothing else of the batch does."""
    kept = {name: value.copy() for name, value in batch.items()}
    segments, lengths = built.replaceable(batch)
    assert segments.shape == batch["ids"].shape and segments.dtype.kind == "i"
    changed = np.zeros(inside.shape, dtype=bool)
    for step in range(20):
        replaced = RandomReplacement(1.0, 0.5, seed=1)(batch["ids"], segments, lengths, step=step)
        changed |= replaced != batch["ids"]
        for row, own, old in zip(replaced, inside, batch["ids"], strict=True):
            assert set(row[own].tolist()) <= set(old[own].tolist())
    assert changed.any() and not changed[~inside].any()
    various = np.array([[(row[own] != word).any() and own[at] for at, word in enumerate(row)] for row, own in zip(batch["ids"], inside, strict=True)])
    np.testing.assert_array_equal(changed, various)  # in 20 steps, every place that has another word to become
    np.testing.assert_array_equal(np.arange(segments.shape[1]) < lengths[:, None], batch["ids"] != vocabulary.pad_id)
    for row, length in zip(segments, lengths, strict=True):
        assert row[length - 1] == 1 and not row[length:].any()
    assert all(np.array_equal(value, batch[name]) for name, value in kept.items())


def check_half_precision(built, batch):
    """Loss and divergence are finite and close to float32's, and every gradient is finite, at O1 and O2, in both half types."""
    plain, outputs = built.examine(batch)
    other = _moved(built)
    apart = float(built.divergence(outputs, other.examine(batch)[1], batch))
    for level, dtype in itertools.product(("O1", "O2"), ("bfloat16", "float16")):
        halves = copy.deepcopy(built), copy.deepcopy(other)
        if level == "O2":
            for half in halves:
                halve_weights(half, dtype)
        with rounded(level, dtype):
            (loss, first), (_, second) = (half.examine(batch) for half in halves)
            divergence = halves[0].divergence(first, second, batch)
        (loss + divergence).backward()
        assert loss.dtype == divergence.dtype == paddle.float32
        np.testing.assert_allclose(float(loss), float(plain), rtol=0.02, err_msg=f"{level} {dtype}")
        np.testing.assert_allclose(float(divergence), apart, rtol=0.1, err_msg=f"{level} {dtype}")
        assert all(np.isfinite(gradient).all() for gradient in gradients(halves[0]).values())
