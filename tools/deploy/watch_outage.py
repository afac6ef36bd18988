"""Does a real Prometheus see what the alerts and the dashboard ask for, through an outage of the store?

    watch_outage.py PROGRAM

A PostgreSQL server, the service on it, a load and a Prometheus with the rules as they are shipped run on free ports;
the server is killed and started again. Nothing is shortened but the intervals: scrapes and rules have one second.
"""

import contextlib
import http.client
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

FILES = pathlib.Path("deploy/helm/hello-birthday/files")
POSTGRES = "/usr/lib/postgresql/15/bin/"
# Nothing is waited for any longer.
PATIENCE = 90
# What has no data here, and why.
ABSENT = {
    "hello_birthday_store_disk_free_bytes": "the embedded store alone has a disk",
    "hello_birthday_store_disk_size_bytes": "the embedded store alone has a disk",
    "hello_birthday_tokens_file_in_force": "no file of tokens is set here",
}
# What some panels show, expression by expression: while all is well, and while the store is away.
SHOWN = {
    "Ready": (lambda ready, all: ready == all == [1], lambda ready, all: (ready, all) == ([0], [1])),
    "Store answers": (lambda up: up == [1], lambda up: up == [0]),
    "Burn: errors": (lambda hour, hours: hour == hours == [0], lambda hour, hours: min(hour + hours) > 14.4),
    "Budget left, 3 days": (lambda errors, slow: errors == [1], lambda errors, slow: errors[0] < 0),
    "Alerts": (lambda firing: firing == [0], lambda firing: firing[0] >= 1),
    "Failures by reason": (lambda failures: max(failures) == 0, lambda failures: max(failures) > 0),
    "Connections to the database": (lambda open, doubt: max(open) > 0 == doubt[0], lambda open, doubt: max(open) == 0),
}
# The alerts of an outage. Errors go on being told of until the five minutes' rate is good again.
ERRORS = {("HelloBirthdayErrorBudgetBurn", "page", "firing"), ("HelloBirthdayErrorBudgetBurn", "ticket", "firing")}
AWAY = {("HelloBirthdayStoreAway", "page", "firing"), ("HelloBirthdayStoreAway", "ticket", "pending")}
NAME = re.compile(r"\b(?:hello_birthday_|http_server_|process_|job:|instance:)[a-z0-9_:]+")


def free_ports(count):
    """Ports that are free: all are held until all are known, so that none is found twice."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def running(command, **options):
    """A process that ends with the block."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            # PostgreSQL waits for its clients after a SIGTERM.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def until(what, is_so):
    """Waits for it, and gives what made it so."""
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if found := is_so():
                return found
        if end < time.monotonic():
            sys.exit(f"waited {PATIENCE} s until {what}")
        time.sleep(0.2)


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


class NotYet(Exception):
    """What is seen is not what should be seen."""


def expect(is_so, otherwise):
    if not is_so:
        raise NotYet(otherwise)


def settle(check):
    """Checks until it is so: a scrape may have been missed, and what was late a moment ago is not late for ever."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return check()
        except (NotYet, OSError, http.client.HTTPException) as otherwise:
            if end < time.monotonic():
                sys.exit(str(otherwise))
            time.sleep(0.5)


class Load:
    """Somebody who saves and greets, whatever comes back, until told to stop."""

    def __init__(self, port):
        self.port, self.stop = port, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        headers, body = {"Content-Type": "application/json"}, '{"dateOfBirth": "1990-06-15"}'
        while not self.stop.wait(0.01):
            with contextlib.suppress(OSError, http.client.HTTPException):
                client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                for request in ("PUT /hello/Anna", "GET /hello/Anna", "GET /user", "DELETE /user/Anna"):
                    client.request(*request.split(), body if request.startswith("PUT") else None, headers)
                    client.getresponse().read()
                client.close()

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


class Prometheus:
    """What is asked of its HTTP interface."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/api/v1/"

    def query(self, expression):
        """The values that it has now. An expression that isn't one ends everything."""
        try:
            answer = fetch(self.url + "query?" + urllib.parse.urlencode({"query": expression}))
        except urllib.error.HTTPError as error:
            sys.exit(f"{expression}\n{error.read().decode()}")
        return [float(series["value"][1]) for series in json.loads(answer)["data"]["result"]]

    def alerts(self):
        """Name, severity and state of each alert that is not silent."""
        alerts = json.loads(fetch(self.url + "alerts"))["data"]["alerts"]
        return {(alert["labels"]["alertname"], alert["labels"]["severity"], alert["state"]) for alert in alerts}


def panels():
    """Title and expressions of each panel of the dashboard."""
    board = json.loads((FILES / "dashboard.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "15s")
            yield panel["title"], expression.replace("$job", ".*").replace("$instance", ".*")
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"].replace("$job", ".*").replace("$instance", ".*")


def rules():
    """Every rule that is shipped."""
    groups = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def is_excused(expression):
    return any(name in ABSENT for name in NAME.findall(expression))


def check_panels(prometheus, is_data, away):
    """Every panel has data, and those of SHOWN what they should have."""
    empty, shown, asked = [], {}, 0
    for title, expression in panels():
        values = prometheus.query(expression)
        shown.setdefault(title, []).append(values)
        asked += 1
        # Starts are shown where there were any.
        if not is_excused(expression) and title != "Starts" and not any(map(is_data, values)):
            empty.append(f"{title}: {expression}")
    expect(not empty, "no data for\n" + "\n".join(empty))
    for title, expectations in SHOWN.items():
        values = shown[title]
        expect(all(values) and expectations[away](*values),
               f"{title} shows {values} while the store is {'away' if away else 'there'}")
    return asked


def check_rules(prometheus):
    """Every rule can be asked, and everything that it asks for is there."""
    names = set()
    for rule in rules():
        prometheus.query(rule["expr"])
        names.update(NAME.findall(rule["expr"]))
    missing = {name for name in names if not prometheus.query(name)} - ABSENT.keys()
    expect(not missing, f"the rules ask for what is not there: {', '.join(sorted(missing))}")
    return len(names)


def check_alerts(prometheus, may_be):
    """Those that are not silent are as they should be."""
    alerts = prometheus.alerts()
    expect(may_be(alerts), f"these are not the alerts that there should be: {sorted(alerts)}")
    return sorted(alerts)


def lint(scrape):
    """Asks promtool, which reads the older text format: there, counters are declared with their suffix."""
    older = scrape
    for family, kind in re.findall(r"(?m)^# TYPE (\S+) (counter|info)$", scrape):
        suffix = {"counter": "_total", "info": "_info"}[kind]
        older = re.sub(rf"(?m)^# (HELP|TYPE) {family} ", rf"# \1 {family}{suffix} ", older)
    older = re.sub(r"(?m)^(# TYPE \S+) info$", r"\1 gauge", older)
    older = re.sub(r"(?m)^# (UNIT .*|EOF)\n?", "", older)
    subprocess.run(["promtool", "check", "metrics"], input=older, text=True, check=True)


def configuration(service):
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str((FILES / "alerts.yml").resolve())],
        "scrape_configs": [{"job_name": "hello", "static_configs": [{"targets": [service]}]}],
    }


def database(folder, port):
    """Makes one in that folder; the command that starts its server, and how it wants to be started."""
    user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "postgres", "postgres")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **user}
    make = ["initdb", "--no-sync", "-A", "trust", "-U", "postgres", "-D", f"{folder}/data"]
    subprocess.run([POSTGRES + make[0], *make[1:]], check=True, **quiet)
    serve = ["postgres", "-D", f"{folder}/data", "-k", folder, "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    return [POSTGRES + serve[0], *serve[1:]], quiet


def watch(program, folder, stack):
    """The outage, and what is seen of it."""
    ports = dict(zip(("postgres", "service", "prometheus"), free_ports(3)))
    os.mkdir(f"{folder}/postgres")
    command, options = database(f"{folder}/postgres", ports["postgres"])
    server = stack.enter_context(running(command, **options))
    url = f"postgres://postgres@127.0.0.1:{ports['postgres']}/postgres"
    service = f"127.0.0.1:{ports['service']}"
    settings = ["--listen", service, "--store", url, "--migrate-on-start", "--log", "off"]
    stack.enter_context(running([program, *settings]))
    until("the service is ready", lambda: fetch(f"http://{service}/-/ready"))
    pathlib.Path(f"{folder}/prometheus.yml").write_text(json.dumps(configuration(service)))
    stack.enter_context(running(
        ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
         f"--web.listen-address=127.0.0.1:{ports['prometheus']}", "--log.level=warn"]))
    # It listens before it can answer.
    until("Prometheus is ready", lambda: fetch(f"http://127.0.0.1:{ports['prometheus']}/-/ready"))
    prometheus = Prometheus(ports["prometheus"])
    with Load(ports["service"]):
        until("the rates are recorded", lambda: any(v > 0 for v in prometheus.query("job:http_server_requests:rate5m")))
        # What was asked for once has a rate after a few scrapes.
        until("the panels have data", lambda: prometheus.query("count_over_time(hello_birthday_store_up[1m]) >= 15"))
        lint(fetch(f"http://{service}/metrics"))
        panels_with_data = settle(lambda: check_panels(prometheus, math.isfinite, False))
        series = settle(lambda: check_rules(prometheus))
        print(f"before: {panels_with_data} expressions of panels have data, and {series} series of the rules are there")
        settle(lambda: check_alerts(prometheus, lambda alerts: not alerts))

        server.kill()
        server.wait()
        until("the alert is pending", lambda: ("HelloBirthdayStoreAway", "page", "pending") in prometheus.alerts())
        until("the alert fires", lambda: prometheus.alerts() >= AWAY)
        settle(lambda: check_rules(prometheus))
        # Of what nobody does there is no number, but there is a line.
        settle(lambda: check_panels(prometheus, lambda _: True, True))
        print(f"during: {settle(lambda: check_alerts(prometheus, lambda alerts: alerts == AWAY | ERRORS))}")

        stack.enter_context(running(command, **options))
        until("the alert is silent", lambda: not any("Away" in name for name, _, _ in prometheus.alerts()))
        until("the service is ready", lambda: fetch(f"http://{service}/-/ready"))
        until("it is seen to be ready", lambda: prometheus.query("hello_birthday_ready") == [1])
        print(f"after: {settle(lambda: check_alerts(prometheus, lambda alerts: alerts <= ERRORS))}")


if __name__ == "__main__":
    # The database shall not wait for what was just built to be on the disk.
    os.sync()
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as processes:
        os.chmod(temporary, 0o755)
        watch(sys.argv[1], temporary, processes)
