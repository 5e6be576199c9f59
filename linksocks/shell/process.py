"""The roles that one process runs, by their sections, and how they become those of another plan.

A server that ends by itself ends the process. A client that does so is missed in the log, and the others go on; the
last one ends the process. A reload tries again what has ended so. What a reload takes away has its `grace` to end,
and meanwhile the rest goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, cast

import gevent
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore
from gevent.pool import Group

from linksocks import logs
from linksocks.config import Config
from linksocks.errors import ConfigError, LinkSocksError
from linksocks.net.greenlets import Greenlet, spawn
from linksocks.server.role import ServerRole
from linksocks.shell.plan import LOGS, Change, Plan, What, diff, in_force
from linksocks.shell.roles import Role, client, server
from linksocks.shell.tokens import SERVER, access_rules

_MAKE: Final = (What.ADDED, What.RENEWED)
_END: Final = (What.REMOVED, What.RENEWED)

log = logging.getLogger("linksocks.process")


class Process:
    """Runs what `plan` says; `read` gives the plan of a reload, where there is a file.

    Raises ConfigError, ListenError.
    """

    def __init__(self, plan: Plan, read: Callable[[], Plan] | None = None) -> None:
        self._read = read
        self._turn = BoundedSemaphore()  # one start or reload at a time
        # What is in force: without roles that have ended, and without what waits for a restart.
        self._logs = plan.debug, plan.log_format
        self._configs = dict(plan.roles)
        self._specs = dict(plan.tokens)
        self._roles = {section: self._make(section, plan) for section in plan.roles}
        self._watchers = Group()
        self._leaving = Group()  # ends of roles that a reload took away
        self._stopping = False
        self._outcome: AsyncResult[None] = AsyncResult()

    @property
    def roles(self) -> Mapping[str, Role]:
        """Those that there are now, by their sections."""
        return self._roles

    def start(self) -> None:
        """Starts all roles. Raises the first error of any, and the rest was not started."""
        with self._turn:  # a reload may be asked for meanwhile
            for section in list(self._roles):
                if not self._stopping:
                    self._start(section)

    def wait(self) -> None:
        """Until `stop`. Raises the error with which the server or the last client ended by itself."""
        self._outcome.get()

    def stop(self) -> None:
        """Stops all roles at once, each within its grace."""
        self._stopping = True
        for section in list(self._roles):
            self._end(section)
        self._leaving.join()
        self._outcome.set(None)

    def reload(self) -> list[str]:
        """Reads the plan again, does what it says otherwise, and says so.

        Raises LinkSocksError for what is wrong, and nothing has changed then. What only fails when it is done, as a
        port that is in use, is told and logged, and is tried again by the next reload.
        """
        if self._read is None:
            raise ConfigError("there is no file to read again: the process was started without --config")
        with self._turn:
            try:
                said = self._apply(self._read())
            except LinkSocksError as error:
                for problem in str(error).split("\n"):
                    log.error("reload: %s", problem)
                log.error("reload: nothing was changed")
                raise
            log.info("reload: %s", "done" if said else "nothing has changed")
            return said

    # -- one role

    def _make(self, section: str, plan: Plan) -> Role:
        """Raises ConfigError, ListenError."""
        if section != SERVER:
            return client(plan.roles[section])
        role = server(plan.roles[section], plan.tokens.values())
        role.controls.reload = self.reload if self._read else None
        return role

    def _start(self, section: str) -> None:
        """Raises ListenError, StateError."""
        role = self._roles[section]
        role.start()
        self._watchers.add(self._spawn(f"watch of {section}", self._watch, section, role))

    def _end(self, section: str, grace: float | None = None) -> None:
        """Does not wait for the end."""
        role, config = self._roles.pop(section), self._configs.pop(section)
        seconds = config["grace"] if grace is None else grace
        self._leaving.add(self._spawn(f"end of {section}", role.stop, seconds))
        gevent.sleep(0)  # its ports are closed now

    def _watch(self, section: str, role: Role) -> None:
        try:
            role.wait()
        except LinkSocksError as error:
            if self._stopping or self._roles.get(section) is not role:
                return
            if section == SERVER or len(self._roles) == 1:
                self._outcome.set_exception(error)
            else:
                log.error("%s has ended, the others go on: %s", section, error)
                self._end(section, 0.0)

    def _spawn(self, name: str, run: Callable[..., None], *args: object) -> gevent.Greenlet[..., object]:
        greenlet = spawn(name, run, *args)
        greenlet.link_exception(self._on_bug)
        return cast("gevent.Greenlet[..., object]", greenlet)

    def _on_bug(self, greenlet: Greenlet) -> None:
        """An error that is none of ours: better to end than to stay without a role."""
        self._outcome.set_exception(greenlet.exception or SystemError("a role died"))

    # -- another plan

    def _apply(self, plan: Plan) -> list[str]:
        """Raises LinkSocksError, and nothing has changed."""
        debug, log_format = self._logs
        old = Plan(dict(self._configs), dict(self._specs), debug, log_format)
        changes = diff(old, plan)
        self._check_tokens(changes, plan)
        made = {c.section: self._make(c.section, plan) for c in changes if _makes_role(c, plan)}
        if self._server is not None:
            self._server.reload_certificate()
        target = in_force(old, plan)
        tokens = {c.section for c in changes if c.section in {*old.tokens, *plan.tokens}}
        for change in changes:
            if change.section in tokens and change.what in _END:
                self._remove_token(change.section)
        deeds = {LOGS: self._adjust_logs, **dict.fromkeys(tokens, self._do_token)}
        to_roles = partial(self._do_role, made)
        return [_attempt(deeds.get(change.section, to_roles), change, target) for change in changes]

    @property
    def _server(self) -> ServerRole | None:
        role = self._roles.get(SERVER)
        return role if isinstance(role, ServerRole) else None

    def _check_tokens(self, changes: Iterable[Change], plan: Plan) -> None:
        """Raises ConfigError where the API has made a token that the plan declares."""
        ours = {spec.fingerprint for spec in self._specs.values()}
        for change in changes:
            spec = plan.tokens.get(change.section)
            if spec is None or self._server is None or spec.fingerprint in ours:
                continue
            if self._server.find(spec) is not None:
                raise ConfigError(f"{change.section}: the API has made the same token; remove it there first")

    def _adjust_logs(self, _change: Change, target: Plan) -> None:
        self._logs = target.debug, target.log_format
        logs.adjust(*self._logs)

    def _remove_token(self, section: str) -> None:
        spec = self._specs.pop(section)
        if self._server is not None:
            self._server.remove(spec.token)

    def _do_token(self, change: Change, target: Plan) -> None:
        """The removed ones are gone already. Raises ConfigError, ListenError."""
        if self._server is None or change.what is What.REMOVED:
            return
        spec = target.tokens[change.section]
        if change.what is What.CHANGED:
            self._server.change(self._specs[change.section], spec)
        else:
            self._server.add(spec)
        self._specs[change.section] = spec

    def _do_role(self, made: dict[str, Role], change: Change, target: Plan) -> None:
        """Raises ListenError, StateError."""
        section = change.section
        if change.what is What.REMOVED:
            self._end(section)
            if section == SERVER:
                self._specs.clear()
        elif change.what is What.CHANGED:
            self._configs[section] = target.roles[section]
            if section == SERVER and self._server is not None:
                rules = access_rules(target.roles[section])
                self._server.dial_rules = self._server.entry_rules = rules
        elif change.what in _MAKE:
            self._begin(section, target, made[section])

    def _begin(self, section: str, target: Plan, role: Role) -> None:
        """Starts `role`, in the place of another where there is one. Raises ListenError, StateError."""
        config = target.roles[section]
        if section in self._roles:
            alone = _stands_alone(self._configs[section]) or _stands_alone(config)
            self._end(section)
            if alone:
                self._leaving.join()
        if self._stopping:
            return
        self._roles[section], self._configs[section] = role, config
        if section == SERVER:
            self._specs = dict(target.tokens)
        try:
            self._start(section)
        except LinkSocksError as error:
            self._end(section, 0.0)
            if not self._roles:
                self._outcome.set_exception(error)
            raise


def _attempt(deed: Callable[[Change, Plan], None], change: Change, target: Plan) -> str:
    """What was done, or why it was not."""
    said = str(change)
    try:
        deed(change, target)
    except LinkSocksError as error:
        said = f"{said}: failed: {error}"
        log.error("reload: %s", said)
    else:
        log.log(logging.WARNING if change.what is What.WAITS else logging.INFO, "reload: %s", said)
    return said


def _makes_role(change: Change, plan: Plan) -> bool:
    return change.section in plan.roles and change.what in _MAKE


def _stands_alone(config: Config) -> bool:
    """Whether two such roles can't be there at once, one ending and the other new: the server knows a connector token
    once, and a port for metrics is open to the end."""
    return bool(config["connector-token"] or config["metrics-address"])
