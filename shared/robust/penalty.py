"""The gradient penalty at the embeddings, with second derivatives or without (kexue.fm articles 7234 and 7259).

Penalty: ``epsilon / 2 * |g|^2``, g the gradient of the loss at the outputs of an embedding layer, squares summed over batch, places and
features: to first order the loss that a perturbation ``epsilon g`` adds. With ``normalised``: ``epsilon * |g|``, for ``epsilon g / |g|``.
Its gradient is that of the loss's own gradient along g, in embedding space; so two more ordinary passes give it:

    grad penalty = epsilon / (2 h) * (grad loss(e + h g) - grad loss(e - h g))          "central"
    grad penalty = epsilon / h * (grad loss(e + h g) - grad loss(e))                    "one_sided"

The step: ``h = s * (mean length of an embedding) / (length of the longest g)``, both over the places, so no embedding moves by more than
a small part s of its usual length. s balances what the difference quotient leaves out, of which a pretrained encoder has hundreds of times
more than a new one, against what subtracting two nearly equal gradients loses: an eighth of the cube root of the type's precision for
"central" (6e-4 in float32), half its square root for "one_sided" (1.7e-4). Measured in float32 with dropout, relative to the length of the
penalty's own gradient, on new encoders of 2 and 4 layers and a pretrained one cut to 2, 4 and 12: "central" is 3e-4 to 6e-4 off the exact
gradient, "one_sided" 2e-3 to 5e-3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import paddle
from paddle import nn

FORMS = ("exact", "central", "one_sided")


@contextmanager
def embedding_outputs(embedding: nn.Layer | Sequence[nn.Layer], *, shifts: Sequence[paddle.Tensor] | None = None) -> Iterator[list[paddle.Tensor]]:
    """A list that gains every output [b, l, h] of ``embedding`` (or of several layers) in the order of the calls, to differentiate by.

    ``shifts``: one tensor for each call, added to its output. A frozen embedding's outputs can be differentiated by too.
    Raises ValueError for a call that has no shift or one of another shape.
    """
    seen: list[paddle.Tensor] = []

    def take(layer: nn.Layer, given: tuple, output: paddle.Tensor) -> paddle.Tensor:
        if shifts is not None:
            expected = list(shifts[len(seen)].shape) if len(seen) < len(shifts) else None
            if expected != list(output.shape):
                raise ValueError(
                    f"embedding call {len(seen) + 1} gave {list(output.shape)}, the first pass {expected or 'no such call'}: "
                    "the loss must read the same batch at every call"
                )
            output = output + shifts[len(seen)]  # [b, l, h]
        if output.stop_gradient and paddle.is_grad_enabled():
            output.stop_gradient = False
        seen.append(output)
        return output

    handles = [layer.register_forward_post_hook(take) for layer in _layers(embedding)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def gradient_penalty(
    loss: paddle.Tensor, outputs: paddle.Tensor | Sequence[paddle.Tensor], epsilon: float = 1.0, *, normalised: bool = False
) -> paddle.Tensor:
    """The exact penalty [], to be added to ``loss`` before its backward pass.

    ``outputs``: what :func:`embedding_outputs` held during the forward pass, or one tensor of your own. Every operation above them needs
    a second derivative: a backbone with ``double_backward``, losses that say so (:mod:`shared.double_backward` has the pieces).
    Raises ValueError where one has none, where no output reaches the loss, and for a loss or gradient that is not finite.
    """
    tensors = [outputs] if paddle.is_tensor(outputs) else list(outputs)
    _check(loss, tensors, epsilon)
    try:
        found = paddle.grad(loss, tensors, create_graph=True, allow_unused=True)  # [b, l, h] each
    except (RuntimeError, ValueError) as error:
        if "grad op" not in str(error) and "gradop" not in str(error) and "PyLayer" not in str(error) and "should return None" not in str(error):
            raise
        raise ValueError(
            f"an operation between the embedding and the loss has no second derivative ({_last_words(error)}): "
            "make the model and its loss with double_backward=True, or use the form 'central'"
        ) from error
    gradients = [gradient for gradient in found if gradient is not None]
    if not gradients:
        raise ValueError(_unreached(len(tensors)))
    squares = sum((gradient * gradient).sum() for gradient in gradients)  # []
    _check_gradient(float(squares), float(loss))
    if not normalised:
        return squares * (0.5 * epsilon)  # []
    # at a gradient of 0 the length has no slope: 0 is one of its subgradients
    return paddle.sqrt(squares) * epsilon if float(squares) > 0 else squares * 0.0  # []


def penalised_backward(
    loss_of: Callable[[], paddle.Tensor],
    embedding: nn.Layer | Sequence[nn.Layer],
    *,
    epsilon: float = 1.0,
    form: str = "central",
    normalised: bool = False,
    weight: float = 1.0,
    relative_step: float | None = None,
    parameters: Iterable[paddle.Tensor] | None = None,
) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Adds the gradient of ``weight * (loss + penalty)`` to ``.grad`` of every parameter; returns loss and penalty [], both plain numbers.

    ``loss_of()`` runs one forward pass and returns the loss []; ``embedding`` is the layer whose outputs [b, l, h] are perturbed
    (``backbone.embeddings.token``), or several; a layer may be called more than once.
    ``form``: ``exact`` needs second derivatives (see :func:`gradient_penalty`) and calls ``loss_of`` once; ``central`` calls it three
    times, ``one_sided`` twice, and needs ``parameters`` (all that are trained). These two take any model. Every call sees the same
    dropout, and afterwards Paddle's random state stands where one call leaves it; anything else that changes from call to call (NumPy draws,
    running averages) belongs outside ``loss_of``.
    ``weight``: 1 / k when gradients of k batches accumulate, or the scale of an automatic mixed precision scaler.
    ``relative_step``: s of the module's text, smaller for a model that is more curved.

    Raises ValueError for an unknown form, a loss that is no finite number, a gradient that is not finite (clear the gradients then), and an
    embedding that is not called or does not reach the loss.
    """
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r}: use one of {', '.join(FORMS)}")
    if not math.isfinite(weight) or weight <= 0:
        raise ValueError(f"weight must be a finite number above 0, found {weight}: give 1 / k for k accumulated batches")
    if relative_step is not None and not 0 < relative_step < 1:
        raise ValueError(f"relative_step must lie in (0, 1), found {relative_step}: leave it out, or give e.g. 0.0006")
    if form == "exact":
        with embedding_outputs(embedding) as outputs:
            loss = loss_of()  # []
        penalty = gradient_penalty(loss, outputs, epsilon, normalised=normalised)  # []
        ((loss + penalty) * weight).backward()
        return loss.detach(), penalty.detach()  # [], []
    trained = [] if parameters is None else list({id(parameter): parameter for parameter in parameters}.values())
    if form == "one_sided" and not trained:
        raise ValueError("the form 'one_sided' scales the gradients of the first pass, found no parameters: give parameters=model.parameters()")
    before = paddle.get_rng_state()
    earlier = [None if parameter.grad is None else parameter.grad.clone() for parameter in trained] if form == "one_sided" else []
    loss, outputs, gradients = _first_pass(loss_of, embedding, epsilon, weight)
    squares = float(sum((gradient * gradient).sum() for gradient in gradients))
    penalty = paddle.full([], epsilon * math.sqrt(squares) if normalised else 0.5 * epsilon * squares, dtype=loss.dtype)  # []
    if not squares or not epsilon:
        return loss, penalty  # [], []
    h = _step(outputs, gradients, relative_step or _usual_step(form, outputs[0]))
    rate = (epsilon / math.sqrt(squares) if normalised else epsilon) / h
    if form == "one_sided":
        for parameter, kept in zip(trained, earlier, strict=True):
            if parameter.grad is not None:
                _rescale(parameter.grad, 1.0 - rate, kept, rate)
    signed = ((h, rate),) if form == "one_sided" else ((h, 0.5 * rate), (-h, -0.5 * rate))
    for sign, factor in signed:
        paddle.set_rng_state(before)
        shifts = [gradient * sign for gradient in gradients]  # [b, l, h] each
        with embedding_outputs(embedding, shifts=shifts) as seen:
            shifted = loss_of()  # []
        if len(seen) != len(shifts):
            raise ValueError(f"the embedding was called {len(shifts)} times, then {len(seen)}: the loss must read the same batch at every call")
        _check_loss(shifted)
        (shifted * (factor * weight)).backward()
    return loss, penalty  # [], []


def _first_pass(
    loss_of: Callable[[], paddle.Tensor], embedding: nn.Layer | Sequence[nn.Layer], epsilon: float, weight: float
) -> tuple[paddle.Tensor, list[paddle.Tensor], list[paddle.Tensor]]:
    """The loss [] after its backward pass; outputs of the embedding and the gradients there, [b, l, h] each."""
    with embedding_outputs(embedding) as outputs:
        loss = loss_of()  # []
    _check(loss, outputs, epsilon)
    found: dict[int, paddle.Tensor] = {}

    def keep(place: int) -> Callable[[paddle.Tensor], None]:
        def hook(gradient: paddle.Tensor) -> None:
            found[place] = gradient.detach() / weight  # [b, l, h]

        return hook

    for place, output in enumerate(outputs):
        output.register_hook(keep(place))
    (loss * weight).backward()
    if not found:
        raise ValueError(_unreached(len(outputs)))
    values = [output.detach() for output in outputs]  # [b, l, h] each
    gradients = [found.get(place, paddle.zeros_like(value)) for place, value in enumerate(values)]  # [b, l, h] each
    _check_gradient(float(sum((gradient * gradient).sum() for gradient in gradients)), float(loss))
    return loss.detach(), values, gradients


def _step(outputs: Sequence[paddle.Tensor], gradients: Sequence[paddle.Tensor], part: float) -> float:
    """h of the module's text; an embedding that is 0 everywhere counts as of length 1."""
    lengths = [float(_lengths(output).mean()) for output in outputs]
    longest = max(float(_lengths(gradient).max()) for gradient in gradients)
    return part * (sum(lengths) / len(lengths) or 1.0) / longest


def _lengths(x: paddle.Tensor) -> paddle.Tensor:
    return paddle.sqrt((x * x).sum(axis=-1))  # [b, l]


def _usual_step(form: str, x: paddle.Tensor) -> float:
    precision = float(paddle.finfo(x.dtype).eps)
    return precision ** (1 / 3) / 8 if form == "central" else math.sqrt(precision) / 2


def _rescale(gradient: paddle.Tensor, rate: float, earlier: paddle.Tensor | None, earlier_rate: float) -> None:
    """In place: what the first pass added takes ``rate``, what was there before stays."""
    if gradient.is_selected_rows():
        raise ValueError("a gradient is sparse, which 'one_sided' cannot scale: make the embedding with sparse=False, or use the form 'central'")
    with paddle.no_grad():
        scaled = gradient * rate  # [...]
        paddle.assign(scaled if earlier is None else scaled + earlier * earlier_rate, gradient)


def _layers(embedding: nn.Layer | Sequence[nn.Layer]) -> list[nn.Layer]:
    return [embedding] if isinstance(embedding, nn.Layer) else list(embedding)


def _check(loss: paddle.Tensor, outputs: Sequence[paddle.Tensor], epsilon: float) -> None:
    if not math.isfinite(epsilon) or epsilon < 0:
        raise ValueError(f"epsilon must be a finite number of at least 0, found {epsilon}: the article takes 1")
    if not outputs:
        raise ValueError("the embedding was not called, found 0 outputs: give the layer that the loss goes through")
    _check_loss(loss)


def _check_loss(loss: paddle.Tensor) -> None:
    if loss.size != 1:
        raise ValueError(f"the loss must be one number, found shape {list(loss.shape)}: take its mean or sum")
    if not math.isfinite(float(loss)):
        raise ValueError(f"the loss is {float(loss)}, expected a finite number: lower the learning rate, or look for the batch that gives it")


def _check_gradient(squares: float, loss: float) -> None:
    if not math.isfinite(squares):
        raise ValueError(
            f"the squared gradient at the embedding is {squares} for a loss of {loss}, expected a finite number: "
            "clear the gradients and lower the learning rate, or look for a log or a square root of 0"
        )


def _unreached(count: int) -> str:
    return f"none of the {count} embedding outputs reaches the loss: give the layer that the loss goes through"


def _last_words(error: Exception) -> str:
    words = [line.strip() for line in str(error).splitlines() if "grad op" in line or "gradop" in line or "backward function" in line]
    return words[0][:160] if words else type(error).__name__
