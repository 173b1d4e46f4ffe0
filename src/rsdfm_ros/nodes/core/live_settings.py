"""Settings of a running node: read when it is configured, changed by `ros2 param set` where that is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.core.entities import ACTIVE, ManagedEntities
from rsdfm_ros.nodes.core.parameters import (
    SettingError,
    declare_leniently,
    former_names,
    proposed,
    unknown,
)
from rsdfm_ros.nodes.core.qos_overrides import PREFIX, check

S = TypeVar("S")

UNCONFIGURED, INACTIVE, FINALIZED = "unconfigured", "inactive", "finalized"


class LiveSettings(ManagedEntities, Generic[S]):
    """A node whose `settings` are a frozen dataclass that is replaced as a whole: read it at the time of use.

    A bad value at the start is remembered: configuring refuses it until it is set anew. `state` is the node's
    lifecycle state.
    """

    def __init__(self, name: str, settings: type[S], **options: Any) -> None:
        super().__init__(name, **options)
        self.state = UNCONFIGURED
        self.settings: S
        self.settings, self._problems = declare_leniently(self, settings)
        self._live = True

    def check(self, settings: S) -> None:
        """Refuse settings that contradict each other or the loaded model, with an RsdfmError."""

    def changed(self, before: S, after: S) -> None:
        """Dynamic settings changed, while configured or active; `self.settings` is `after` already."""

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """One by one; see set_parameters_atomically."""
        return [self.set_parameters_atomically([p]) for p in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set all parameters or none; a refusal states the allowed values."""
        if not getattr(self, "_live", False):  # the constructor is still declaring
            return super().set_parameters_atomically(parameter_list)
        try:
            after, typed = self._proposed(parameter_list)
        except RsdfmError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except Exception as error:  # the caller always gets a result
            self.on_callback_error("parameters", error)
            reason = f"{self.get_name()} could not check this: {type(error).__name__}: {error}"
            return SetParametersResult(successful=False, reason=reason)
        result = super().set_parameters_atomically(typed)
        if not result.successful:
            return result
        before, self.settings = self.settings, after
        for parameter in typed:
            self._problems.pop(parameter.name, None)
        if before != after and self.state in (INACTIVE, ACTIVE):
            try:
                self.changed(before, after)
            except Exception as error:
                self.on_callback_error("parameters", error)
        return result

    def _proposed(self, parameters: Sequence[Parameter]) -> tuple[S, list[Parameter]]:
        name, unconfigured = self.get_name(), self.state == UNCONFIGURED
        for parameter in parameters:
            if not self.has_parameter(parameter.name):
                former = former_names(self.settings)
                raise SettingError(unknown(parameter.name, self._names(), owner=name, former=former))
            if parameter.name.startswith(PREFIX):
                check(parameter.name, parameter.value)
                if not unconfigured:
                    raise SettingError(
                        f"parameter {parameter.name} of {name} is read-only while the node is configured: "
                        "set it in the params file and start anew, or clean up the node first"
                    )
        after, typed = proposed(self.settings, parameters, owner=name, unconfigured=unconfigured)
        if not set(self._problems) - {p.name for p in typed}:
            self.check(after)
        return after, typed

    def refuse_bad_start(self) -> None:
        """SettingError for the first value at the start that was not allowed and was not repaired since."""
        for sentence in self._problems.values():
            raise SettingError(sentence)
        self.check(self.settings)

    def _names(self) -> list[str]:
        return [str(name) for name in self.list_parameters([], 0).names]
