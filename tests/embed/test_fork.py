"""Forks while tunnels are open and traffic flows: the child has nothing of them, and the parent notices nothing."""

from __future__ import annotations

import pytest
import trustme

from tests.embed.programs import outcome

# Echo over TCP, owned by a home as a tunnel is: a port, connections with a greenlet each, and a link out.
_TUNNEL = """
import contextlib, gc, signal, socket as plain
import gevent
from gevent import socket
from gevent.server import StreamServer
from linksocks.errors import ForkedError
from linksocks.net.greenlets import Pool, spawn
from linksocks.net.listen import PatientAccept, bind, listen
from linksocks.net.sockets import own, owned

class Server(PatientAccept, StreamServer):
    def handle(self, sock, _address):
        with sock:
            while data := sock.recv(65536):
                sock.sendall(data)

class Tunnel:
    def __init__(self):
        self.home = enter()
        self.port = self.home.call(self.start, timeout=5)
        self.home.hold(self.stop)
        self.echoes = 0

    def start(self):
        self.listener = bind("127.0.0.1", 0)
        listen(self.listener)
        self.server = Server(self.listener, spawn=Pool())
        self.server.start()
        self.link = own(socket.create_connection(self.listener.getsockname()))
        self.pump = spawn("pump", self.run)
        return self.listener.getsockname()[1]

    def run(self):
        # The parent counts and checks: a byte of the child in between would break it.
        n = 0
        while True:
            word = b"%d " % n
            self.link.sendall(word)
            got = b""
            while len(got) < len(word):
                got += self.link.recv(len(word) - len(got)) or (_ for _ in ()).throw(EOFError())
            assert got == word, (got, word)
            n = self.echoes = n + 1

    def stop(self):
        self.pump.kill()
        self.server.stop(0)
        self.link.close()

    def flows(self):
        before = self.echoes
        deadline = time.monotonic() + 5
        while self.echoes < before + 10:
            assert time.monotonic() < deadline, "nothing flows"
            time.sleep(0.001)
        return True

def fds():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink("/proc/self/fd/" + name).split(":")[0]
    return found

def forked(run):
    '''What `run` printed in a child; the child ends as a program does.'''
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        run()
        sys.exit(0)
    deadline = time.monotonic() + 8
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            raise SystemExit("the child hangs")
        time.sleep(0.005)
    assert ended[1] == 0, ended

def soon(condition):
    '''Whether it comes true, while the hub of this thread runs.'''
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        gevent.sleep(0.001)
    return condition()

def refused(call):
    try:
        return call()
    except ForkedError as error:
        return str(error).replace(str(os.getppid()), "PARENT").replace(str(os.getpid()), "CHILD")

before = fds()
"""


def forks(text: str, *, patched: bool = False) -> list[str]:
    """What such a program printed."""
    return outcome(_TUNNEL, text, patched=patched)


_ADVICE = "this tunnel runs in process PARENT, and CHILD is a fork of that: make another one here"

BOTH = pytest.mark.parametrize("patched", [False, True])


@BOTH
def test_the_childs_copy_says_whose_it_is_and_does_nothing(patched: bool):
    said = forks(
        """
        tunnel = Tunnel()
        tunnel.flows()
        def child():
            home = tunnel.home
            print(refused(lambda: home.call(int, timeout=5)))
            print(refused(lambda: asyncio.run(home.async_call(int, timeout=5))))
            home.post(print, "posted")
            home.hold(int)
            home.leave()
            home.leave()
        forked(child)
        print(tunnel.flows())
        """,
        patched=patched,
    )
    assert len(said) == 3
    assert said[0].startswith(_ADVICE)
    assert said[1].startswith(_ADVICE)
    assert said[2] == "True"


@BOTH
def test_the_child_has_a_home_of_its_own(patched: bool):
    said = forks(
        """
        tunnel = Tunnel()
        tunnel.flows()
        def child():
            own = Tunnel()
            print(own.port != tunnel.port, own.flows())
            own.home.call(own.stop, timeout=5)
            own.home.leave()
            last = Tunnel()  # left open: the child exits as any program does
            print(last.flows())
        forked(child)
        print(tunnel.flows())
        """,
        patched=patched,
    )
    assert said == ["True True", "True", "True"]


def test_the_child_has_no_descriptor_of_the_parents_tunnels():
    said = forks(
        """
        tunnel = Tunnel()
        tunnel.flows()
        def child():
            print(fds() == before or (fds(), before))
            # What the child opens now gets those numbers, and no garbage collection may close them.
            opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
            tunnel.__dict__.clear()
            gc.collect()
            print(all(os.fstat(fd) for fd in opened))
        forked(child)
        print(tunnel.flows())
        """
    )
    assert said == ["True", "True", "True"]


def test_the_child_of_a_patched_program_has_none_once_it_has_waited():
    said = forks(
        """
        import logging
        logging.basicConfig(stream=sys.stdout)
        before = (gevent.sleep(0.001), fds())[1]
        tunnel = Tunnel()
        tunnel.flows()
        def child():
            print(any(sock.getsockname() == ("127.0.0.1", tunnel.port) for sock, _ in owned() if sock.family == 2))
            def left():
                gc.collect()
                alive = [o for o in gc.get_objects() if issubclass(type(o), gevent.Greenlet) and not o.dead]
                return sorted(fds().values()), alive
            tunnel.__dict__.clear()
            nothing = sorted(before.values()), []
            print(soon(lambda: left() == nothing) or (left(), nothing))
        forked(child)
        print(tunnel.flows())
        """,
        patched=True,
    )
    assert said == ["False", "True", "True"]


@BOTH
def test_a_port_and_a_link_end_with_the_parents_though_a_child_lives(patched: bool):
    said = forks(
        """
        tunnel = Tunnel()
        tunnel.flows()
        far = plain.create_connection(("127.0.0.1", tunnel.port))
        far.sendall(b"x")
        far.recv(1)
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            signal.pause()  # it lives, and its hub never runs
        tunnel.home.call(tunnel.stop, timeout=5)
        far.settimeout(5)
        print(far.recv(1))
        try:
            plain.create_connection(("127.0.0.1", tunnel.port))
        except ConnectionRefusedError:
            print("refused")
        tunnel.home.leave()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        """,
        patched=patched,
    )
    assert said == ["b''", "refused"]


@BOTH
def test_from_a_thread_with_multiprocessing(patched: bool):
    said = forks(
        """
        import multiprocessing
        tunnel = Tunnel()
        tunnel.flows()
        def child(queue):
            own = Tunnel()
            queue.put((refused(lambda: tunnel.home.call(int, timeout=5))[:30], own.flows()))
        def work():
            context = multiprocessing.get_context("fork")
            queue = context.SimpleQueue()
            for _ in range(3):
                process = context.Process(target=child, args=(queue,))
                process.start()
                print(*queue.get())
                process.join(5)
                print(process.exitcode, tunnel.flows())
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """,
        patched=patched,
    )
    assert said == ["this tunnel runs in process PA True", "0 True"] * 3


def test_a_greenlet_whose_call_was_under_way_hears_of_it():
    """In a patched program the child has its callers' copies too."""
    said = forks(
        """
        tunnel = Tunnel()
        def caller():
            print(refused(lambda: tunnel.home.call(gevent.sleep, 1000, timeout=None))[:30], flush=True)
        waiting = gevent.spawn(caller)
        gevent.sleep(0.01)
        def child():
            waiting.join(5)
        forked(child)
        print(waiting.dead, tunnel.flows())
        waiting.kill()
        """,
        patched=True,
    )
    assert said == ["this tunnel runs in process PA", "False True"]


def test_a_greenlet_of_another_hub_hears_of_it():
    said = forks(
        """
        tunnel = Tunnel()
        def caller():
            print(refused(lambda: tunnel.home.call(gevent.sleep, 1000, timeout=None))[:30], flush=True)
        waiting = gevent.spawn(caller)
        gevent.sleep(0.01)
        def child():
            gevent.reinit()
            waiting.join(5)
        forked(child)
        print(waiting.dead, tunnel.flows())
        waiting.kill()
        """
    )
    assert said == ["this tunnel runs in process PA", "False True"]


@BOTH
def test_many_forks_under_way(patched: bool):
    """Whatever the home is doing just now."""
    said = forks(
        """
        tunnels = [Tunnel() for _ in range(3)]
        for n in range(8):
            def child():
                print(refused(lambda: tunnels[0].home.call(int, timeout=5))[:12])
                gevent.sleep(0.001)
            forked(child)
        print(all(tunnel.flows() for tunnel in tunnels))
        """,
        patched=patched,
    )
    assert said == ["this tunnel "] * 8 + ["True"]


@BOTH
def test_real_tunnels_own_all_their_sockets(patched: bool, tmp_path):
    """Of all kinds: with TLS and without, ports, links, applications, targets, UDP, and those handed out."""
    authority = trustme.CA()
    pair = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    pair.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    pair.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    said = forks(
        f"""
        folder = {str(tmp_path)!r}
        from linksocks.net.tls.certificate import Certificate
        from linksocks.net.tls.trust import Trust
        from tests.support import socks
        from tests.support.associations import Association
        from tests.support.roles import client_role, server_role

        def sockets():
            return sorted(what for what in fds().values() if what == "socket")

        target = plain.create_server(("127.0.0.1", 0))  # the kernel connects for it
        there = target.getsockname()
        apps = []
        before = sockets()
        home = enter()
        def start():
            server = server_role(certificate=Certificate(folder + "/cert.pem", folder + "/key.pem"))
            server.start()
            trust = Trust(ca_file=folder + "/ca.pem")
            client = client_role(0, url="wss://localhost:%d" % server.port, trust=trust)
            client.start()
            client.wait_ready(5)
            return server, client
        server, client = home.call(start, timeout=5)
        apps.append(plain.create_connection(("127.0.0.1", client.socks_port)))
        apps.append(socks.connect(client.socks_port, *there))
        apps.append(Association(("127.0.0.1", client.socks_port)))
        handed = home.call(client.dial, *there, 5, timeout=5)
        print("open")
        def child():
            for app in apps:
                app.close()
            handed.close()
            if {patched}:
                soon(lambda: sockets() == before)
            print(sockets() == before or [plain.socket(fileno=fd) for fd, what in fds().items() if what == "socket"])
        forked(child)
        home.hold(lambda: (client.stop(0), server.stop(0)))
        print(len(sockets()) > len(before) + 10)
        """,
        patched=patched,
    )
    assert said == ["open", "True", "True"]


def test_in_the_thread_of_the_home():
    """A fork there, in what the home runs for its tunnel: no word for the parent's loop goes to the child's."""
    said = forks(
        """
        home, done = enter(), threading.Event()
        def fork():
            pid = os.fork()
            if pid == 0:
                try:
                    gevent.sleep(5)
                finally:  # it is killed with the others
                    gevent.sleep(0.03)  # and the child's loop runs meanwhile
                    os._exit(0)
            return pid
        def call():
            while not done.is_set():
                home.call(int, timeout=10)
        callers = [threading.Thread(target=call) for _ in range(3)]
        for caller in callers:
            caller.start()
        print(sum(os.waitpid(home.call(fork, timeout=5), 0)[1] for _ in range(20)))
        done.set()
        """
    )
    assert said == ["0"]


def test_what_fails_in_the_child_failed_because_of_the_fork():
    """A greenlet that was to run just then finds its sockets dead before it is told of the fork."""
    said = forks(
        """
        tunnel = Tunnel()
        parent = os.getpid()
        go = gevent.event.Event()
        begun = gevent.event.Event()
        def run():
            begun.set()
            go.wait()
            raise OSError("a socket is dead")
        def caller():
            try:
                tunnel.home.call(run, timeout=None)
            except (OSError, ForkedError) as error:
                print(type(error).__name__, os.getpid() == parent, flush=True)
            gevent.sleep(0.01)  # and nothing more comes
            print("on", flush=True)
        calling = gevent.spawn(caller)
        begun.wait()
        go.set()
        forked(lambda: calling.join(5))
        calling.join(5)
        """,
        patched=True,
    )
    assert sorted(said) == ["ForkedError False", "OSError True", "on", "on"]
