"""AdaX, AdaX with L2 regularisation and AdaX-W (kexue.fm article 7387; arXiv 2004.09740), as paddle optimizers.

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t                       (no bias correction)
    v_t     = (1 + beta2) v_{t-1} + beta2 g_t^2
    v_hat_t = v_t / ((1 + beta2)^t - 1)
    theta_t = theta_{t-1} - rate m_t / sqrt(v_hat_t)

The state kept is v_hat, not v: ``v_hat_t = v_hat_{t-1} + w_t (g_t^2 - v_hat_{t-1})`` with ``w_t = beta2 / ((1 + beta2)^t - 1)`` from
Python floats, so no step overflows, and a constant gradient gives ``v_hat = g^2`` at any step. For float32 parameters ``1 - w_t`` is rounded to
float32: behind step 80,000 or so, where a gradient would count for less than 3e-8, v_hat stands still.

Where epsilon stands differs in every source, so it is an option, ``epsilon_placement``:

* ``"inside"``: ``m / sqrt(v_hat + epsilon)``, the article.
* ``"outside"``: ``m / (sqrt(v_hat) + epsilon)``, its author's second implementation, 1e-6.
* ``"v"``: ``sqrt((1 + beta2)^t - 1) m / (sqrt(v) + epsilon)``, his first (1e-7) and the paper's authors' (1e-12); its weight shrinks as t grows.

A sparse gradient (``nn.Embedding(sparse=True)``) has the effect of the same gradient made dense: both moments of every row decay, the
rows that were looked up gain, and every row moves. Nothing is lazy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import paddle

from . import kernel
from .decay import gradient_weight, inverse_growth
from .gradients import dense, refuse_not_finite, rows_of
from .slots import HALF, Slot, listed, not_negative, read_slot

Placement = Literal["inside", "outside", "v"]
_GROUP_KEYS = ("learning_rate", "params", "weight_decay")
_SMALLEST_ROOT = {paddle.float32: 1.1e-19, paddle.float64: 1.5e-154}
"""Square roots of the smallest normal numbers. No divisor is smaller: where no gradient ever came the step is 0 / that, not 0 / 0."""


class _Base(paddle.optimizer.Optimizer):
    """What the three share.

    A ``paddle.optimizer.Optimizer``, so that GradScaler, ``paddle.amp.decorate`` and schedulers take it; but of paddle's own machinery
    it uses the rate and ``clear_grad`` alone. Accumulators, step and state are written here: the hooks for them differ between
    paddle's lines.
    """

    _decay_kind: Literal["none", "l2", "decoupled"] = "none"

    def __init__(
        self,
        learning_rate: float | paddle.optimizer.lr.LRScheduler,
        parameters: Iterable[Any] | None,
        *,
        beta1: float,
        beta2: float,
        epsilon: float,
        epsilon_placement: Placement,
        weight_decay: float,
        decay: float,
        grad_clip: Any,
        apply_decay_param_fun: Callable[[str], bool] | None,
        multi_precision: bool,
        check_finite: bool,
        name: str | None,
    ):
        if not paddle.in_dynamic_mode():
            raise ValueError("AdaX works in dynamic mode, found static mode: call paddle.disable_static() first")
        if not 0 <= beta1 < 1:
            raise ValueError(f"beta1 must lie in [0, 1), found {beta1}: give e.g. 0.9")
        if not 0 < beta2 < 1:
            raise ValueError(f"beta2 must lie in (0, 1), found {beta2}: give e.g. 1e-4 (near 0 where Adam's is near 1)")
        if epsilon_placement not in get_args(Placement):
            raise ValueError(f"epsilon_placement must be one of {', '.join(get_args(Placement))}, found {epsilon_placement!r}")
        not_negative("epsilon", epsilon)
        not_negative("decay", decay)
        if not isinstance(learning_rate, paddle.optimizer.lr.LRScheduler):
            not_negative("learning_rate", learning_rate)
            learning_rate = float(learning_rate)
        self._beta1, self._beta2, self._epsilon, self._placement = beta1, beta2, epsilon, epsilon_placement
        self._weight_decay, self._decay, self._decays = float(weight_decay), decay, apply_decay_param_fun
        self._check_finite = check_finite
        self._slots: list[Slot] = []
        self._iterations = 0
        given = listed(parameters)
        super().__init__(learning_rate=learning_rate, parameters=given, weight_decay=None, grad_clip=grad_clip, name=name)
        self._multi_precision = multi_precision  # paddle.amp.decorate sets it
        if not self._slots:  # parameters without groups
            self._take(given, None, self._weight_decay)

    def _add_param_group(self, param_group: dict[str, Any]) -> None:
        """Called by paddle for each group; paddle's own would write an L2 regulariser into the parameters."""
        unknown = sorted(set(param_group) - set(_GROUP_KEYS))
        if unknown:
            raise ValueError(f"a parameter group holds {', '.join(_GROUP_KEYS)}, found also {', '.join(unknown)}: take that out")
        group = {"learning_rate": 1.0, "weight_decay": self._weight_decay, **param_group}
        self._take(group["params"], float(group["learning_rate"]), float(group["weight_decay"] or 0.0))
        self._param_groups.append(group)

    def _take(self, parameters: Sequence[paddle.Tensor], ratio: float | None, weight_decay: float) -> None:
        not_negative("weight_decay", weight_decay)
        if weight_decay and self._decay_kind == "none":
            raise ValueError(f"AdaX has no weight decay, found weight_decay={weight_decay}: take AdaXW or AdaXL2, or give 0")
        known = {id(slot.parameter) for slot in self._slots}
        for parameter in parameters:
            if id(parameter) in known:
                raise ValueError(f"parameter {parameter.name} was given twice: each belongs in one group, once")
            known.add(id(parameter))
            own = float(parameter.optimize_attr.get("learning_rate", 1.0)) if ratio is None else ratio
            not_negative("learning_rate of a group", own)
            decays = self._decays is None or self._decays(parameter.name)
            self._slots.append(Slot(parameter, own, weight_decay if decays else 0.0))

    # -- the step ------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One update of every trainable parameter that has a gradient.

        Raises ValueError for a gradient that is not finite, before anything has changed (unless ``check_finite=False``). Under a
        GradScaler that found such a gradient itself it does nothing.
        """
        self._update([(slot, slot.parameter.grad) for slot in self._slots if not slot.parameter.stop_gradient])

    def minimize(
        self, loss: paddle.Tensor, startup_program: Any = None, parameters: Any = None, no_grad_set: Any = None
    ) -> tuple[list[Any], list[tuple[paddle.Tensor, paddle.Tensor]]]:
        """As paddle's in dynamic mode: the step that follows ``loss.backward()``, over ``parameters`` alone where they are given."""
        chosen = None if parameters is None else {id(parameter) for parameter in parameters}
        barred = {getattr(parameter, "name", parameter) for parameter in no_grad_set or ()}
        pairs = [
            (slot, slot.parameter.grad)
            for slot in self._slots
            if not slot.parameter.stop_gradient and slot.parameter.name not in barred and (chosen is None or id(slot.parameter) in chosen)
        ]
        self._update(pairs)
        return [], [(slot.parameter, gradient) for slot, gradient in pairs if gradient is not None]

    def _update(self, pairs: Sequence[tuple[Slot, paddle.Tensor | None]]) -> None:
        found = self._get_auxiliary_var("found_inf")  # a GradScaler's word
        if found is not None and bool(found):
            return
        present = [(slot, gradient) for slot, gradient in pairs if gradient is not None]
        with paddle.no_grad():
            if self._check_finite:
                refuse_not_finite(present)
            if self._grad_clip is not None and present:  # over all groups together: a global norm is global
                clipped = self._grad_clip([(slot.parameter, gradient) for slot, gradient in present])
                present = [(slot, gradient) for (slot, _), (_, gradient) in zip(present, clipped, strict=True)]
            rate = self.get_lr() / (1.0 + self._decay * self._iterations)
            for slot, gradient in present:
                self._update_one(slot, gradient, rate * slot.ratio)
        self._iterations += 1

    def _update_one(self, slot: Slot, gradient: paddle.Tensor, rate: float) -> None:
        weight = self._working_copy(slot)  # [...]: the parameter itself unless it is half precision
        if slot.moment is None or slot.v_hat is None:
            slot.moment, slot.v_hat = paddle.zeros_like(weight), paddle.zeros_like(weight)  # [...], [...]
        slot.steps += 1
        w = gradient_weight(slot.steps, self._beta2)
        if slot.weight_decay and self._decay_kind == "l2":
            gradient = dense(gradient, weight).add(weight.scale(slot.weight_decay))  # [...]
        if slot.weight_decay and self._decay_kind == "decoupled":
            weight.scale_(1.0 - rate * slot.weight_decay)
        kept = float(np.float32(1.0 - w)) if weight.dtype == paddle.float32 else 1.0 - w  # what is kept and what is added make 1
        beside = self._epsilon * (inverse_growth(slot.steps, self._beta2) if self._placement == "v" else 1.0)
        if self._placement != "inside" and not gradient.is_selected_rows() and kernel.takes(weight):
            kernel.adam_step(
                weight,
                dense(gradient, weight),
                slot.moment,
                slot.v_hat,
                rate=rate,
                beta1=self._beta1,
                beta2=kept,
                epsilon=max(beside, _SMALLEST_ROOT[weight.dtype]),
            )
        else:
            if gradient.is_selected_rows():
                rows, values = rows_of(gradient, weight.dtype)  # [r], [r, ...]
                slot.moment.scale_(self._beta1).index_add_(rows, 0, values.scale(1.0 - self._beta1))
                slot.v_hat.scale_(kept).index_add_(rows, 0, values.multiply(values).scale_(1.0 - kept))
            else:
                gradient = dense(gradient, weight)  # [...]
                slot.moment.add_(gradient.subtract(slot.moment).scale_(1.0 - self._beta1))
                slot.v_hat.add_(gradient.multiply(gradient).subtract_(slot.v_hat).scale_(w))
            weight.add_(slot.moment.divide(self._root(slot.v_hat, beside)).scale_(-rate))
        if weight is not slot.parameter:
            paddle.assign(weight.astype(slot.parameter.dtype), slot.parameter)

    def _root(self, v_hat: paddle.Tensor, beside: float) -> paddle.Tensor:
        """``sqrt(v_hat + epsilon)``, or ``sqrt(v_hat) + beside``; never 0. [...] as ``v_hat``."""
        if self._placement == "inside":
            root, least = v_hat.scale(1.0, bias=self._epsilon).sqrt_(), math.sqrt(self._epsilon)  # [...]
        else:
            root, least = v_hat.sqrt().scale_(1.0, bias=beside), beside  # [...]
        smallest = _SMALLEST_ROOT[v_hat.dtype]
        return root if least >= smallest else root.clip_(min=smallest)

    def _working_copy(self, slot: Slot) -> paddle.Tensor:
        if slot.parameter.dtype not in HALF:
            return slot.parameter
        if not self._multi_precision:
            return slot.parameter.astype("float32")
        if slot.master is None:
            slot.master = slot.parameter.astype("float32")
        return slot.master

    # -- the state -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on beside weights, gradients and settings; a flat table of tensors.

        ``iterations`` [] int64, and for the parameter at position i of all groups in order, once it had an update, ``i.steps`` [] int64,
        ``i.moment`` and ``i.v_hat`` in the parameter's shape (float32; float64 for a float64 parameter), ``i.master`` with
        ``multi_precision``. With a scheduler also its own table, ``LR_Scheduler``. The tensors are the live ones: save or copy them
        before the next step. Names of parameters play no part, since paddle numbers them anew in every process.
        """
        state: dict[str, Any] = {"iterations": paddle.to_tensor(self._iterations, dtype="int64")}
        for position, slot in enumerate(self._slots):
            if slot.steps:
                state[f"{position}.steps"] = paddle.to_tensor(slot.steps, dtype="int64")
                state[f"{position}.moment"] = slot.moment
                state[f"{position}.v_hat"] = slot.v_hat
                if slot.master is not None:
                    state[f"{position}.master"] = slot.master
        if isinstance(self._learning_rate, paddle.optimizer.lr.LRScheduler):
            state["LR_Scheduler"] = self._learning_rate.state_dict()
        return state

    def set_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes a copy of what :meth:`state_dict` gave (tensors or NumPy arrays); the next step is the same bit for bit.

        Raises ValueError, with nothing changed, for a state of other parameters: unknown or missing entries, another shape or dtype.
        """
        scheduled = isinstance(self._learning_rate, paddle.optimizer.lr.LRScheduler)
        if scheduled != ("LR_Scheduler" in state_dict):
            found = "no LR_Scheduler" if scheduled else "LR_Scheduler"
            raise ValueError(f"the state must come from the same kind of rate, found {found}: set the optimizer up as when it was saved")
        entries = {key: value for key, value in state_dict.items() if key != "LR_Scheduler"}
        if "iterations" not in entries:
            raise ValueError(f"an AdaX state has the entry iterations, found {', '.join(sorted(entries)[:5]) or 'nothing'}: give state_dict()")
        iterations = int(entries.pop("iterations"))
        read = [read_slot(slot, position, entries) for position, slot in enumerate(self._slots)]
        if entries:
            raise ValueError(f"the state must fit {len(self._slots)} parameters, found also {', '.join(sorted(entries)[:5])}")
        for slot, (steps, moment, v_hat, master) in zip(self._slots, read, strict=True):
            slot.steps, slot.moment, slot.v_hat, slot.master = steps, moment, v_hat, master
        self._iterations = iterations
        if scheduled:
            self._learning_rate.set_state_dict(state_dict["LR_Scheduler"])

    load_state_dict = set_state_dict


class AdaX(_Base):
    """AdaX without weight decay. Formulas, epsilon and sparse gradients: see the module.

    ``parameters``: ``layer.parameters()``, or groups ``{"params", "learning_rate", "weight_decay"}`` as of
    :func:`parameter_groups`, whose learning_rate is a factor of the rate. ``learning_rate`` a number or a scheduler;
    ``decay`` divides it by ``1 + decay * updates so far``. ``grad_clip`` one of paddle's, over all groups together. The defaults
    are the article's author's. State is float32 for half-precision parameters; ``multi_precision`` keeps float32 weights too.
    ``check_finite=False`` drops the check of the gradients, one sum each, where somebody else makes it. A parameter counts its own
    updates as t. Raises ValueError for settings out of range, a parameter given twice, no parameter, and static mode.
    """

    def __init__(
        self,
        learning_rate: float | paddle.optimizer.lr.LRScheduler = 1e-3,
        parameters: Iterable[Any] | None = None,
        *,
        beta1: float = 0.9,
        beta2: float = 1e-4,
        epsilon: float = 1e-6,
        epsilon_placement: Placement = "outside",
        decay: float = 0.0,
        grad_clip: Any = None,
        multi_precision: bool = False,
        check_finite: bool = True,
        name: str | None = None,
    ):
        super().__init__(
            learning_rate,
            parameters,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            epsilon_placement=epsilon_placement,
            weight_decay=0.0,
            decay=decay,
            grad_clip=grad_clip,
            apply_decay_param_fun=None,
            multi_precision=multi_precision,
            check_finite=check_finite,
            name=name,
        )


class _Decaying(_Base):
    def __init__(
        self,
        learning_rate: float | paddle.optimizer.lr.LRScheduler,
        parameters: Iterable[Any] | None = None,
        *,
        weight_decay: float,
        beta1: float = 0.9,
        beta2: float = 1e-4,
        epsilon: float = 1e-12,
        epsilon_placement: Placement = "v",
        decay: float = 0.0,
        grad_clip: Any = None,
        apply_decay_param_fun: Callable[[str], bool] | None = None,
        multi_precision: bool = False,
        check_finite: bool = True,
        name: str | None = None,
    ):
        super().__init__(
            learning_rate,
            parameters,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            epsilon_placement=epsilon_placement,
            weight_decay=weight_decay,
            decay=decay,
            grad_clip=grad_clip,
            apply_decay_param_fun=apply_decay_param_fun,
            multi_precision=multi_precision,
            check_finite=check_finite,
            name=name,
        )


class AdaXL2(_Decaying):
    """AdaX on ``g + weight_decay * theta``, with the paper's authors' settings. Other arguments as of :class:`AdaX`.

    ``apply_decay_param_fun(name)``: False keeps a parameter of that name from decaying, whatever its group says.
    """

    _decay_kind = "l2"

    def __init__(
        self,
        learning_rate: float | paddle.optimizer.lr.LRScheduler = 1.5e-3,
        parameters: Iterable[Any] | None = None,
        *,
        weight_decay: float = 5e-4,
        **settings: Any,
    ):
        super().__init__(learning_rate, parameters, weight_decay=weight_decay, **settings)


class AdaXW(_Decaying):
    """AdaX-W: ``theta - rate * weight_decay * theta`` beside AdaX's own step, with the paper's authors' settings.

    ``apply_decay_param_fun`` as of :class:`AdaXL2`, other arguments as of :class:`AdaX`.
    """

    _decay_kind = "decoupled"

    def __init__(
        self,
        learning_rate: float | paddle.optimizer.lr.LRScheduler = 5e-3,
        parameters: Iterable[Any] | None = None,
        *,
        weight_decay: float = 5e-2,
        **settings: Any,
    ):
        super().__init__(learning_rate, parameters, weight_decay=weight_decay, **settings)
