"""What every model promises of a batch that is cut in parts."""

import numpy as np


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
