"""Does the chart render to what it promises, for each set of values, and does it refuse nonsense?

Writes what it rendered to FOLDER/rendered, for others to read.
"""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "deploy/helm/hello-birthday"
PAGE = HERE.parents[1] / "docs/kubernetes.md"
SETS = {path.stem: path for path in sorted((HERE / "values").glob("*.yaml"))} | {"production": CHART / "values-production.yaml"}
KUBERNETES = "1.34"
COMPONENT = "app.kubernetes.io/component"
# They belong to operators that a cluster may have; no schema of Kubernetes knows them.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "HTTPRoute"}

EXTERNAL = "postgresql.enabled=false,postgresql.host=a,postgresql.existingSecret=b"
ROUTE = "httpRoute.enabled=true,httpRoute.parentRefs[0].name=g"
NONSENSE = [
    "store=mysql", "replicas=0", "replicas=two", "autoscaling.minReplicas=0", "autoscaling.enabled=perhaps",
    "image.digest=latest", "image.tag=a b", "image.pullPolicy=Sometimes", "image.repository=hello birthday",
    "image.repository=Somebody/hello", "image.repository=hello:1.0", "imagePullSecrets=[{}]", "imagePullSecrets={a}",
    "postgresql.enabled=false", "postgresql.port=70000", "postgresql.sslmode=prefer", "postgresql.storage=big",
    "postgresql.sslmode=require", "postgresql.caSecret=a", "postgresql.image=Postgres", "testImage=curl 8",
    f"{EXTERNAL},postgresql.host=postgres://db", f"{EXTERNAL},postgresql.host=my db", f"{EXTERNAL},postgresql.host=a\\,",
    f"{EXTERNAL},postgresql.host=db:5432", f"{EXTERNAL},postgresql.sslmode=require,postgresql.caSecret=a",
    "postgresql.replicaUrl=replica", "postgresql.replicaUrl=postgres://hello:secret@replica",
    "postgresql.replicaUrl=postgres://replica/?password=secret", "postgresql.replicaUrl=postgres://re plica",
    "store=redis", "store=redis,redis.existingSecret=a,redis.wait=-1", "sqlite.storage=1", "timeZone=no zone",
    "leapDay=feb29", "drain.delaySeconds=-1", "resources.limits=null", "resources.requests.memory=null",
    "resources.limits.memory=lots", "resources.requests.cpu=-1", "postgresql.resources.limits.memory=null",
    "service.type=LoadBalancer", "service.type=NodePort,service.nodePort=80", "service.nodePort=30080",
    "ingress.enabled=true", "ingress.enabled=true,ingress.host=https://a.example", "ingress.enabled=true,ingress.host=A b",
    "httpRoute.enabled=true", "httpRoute.parentRefs=[{}]", "httpRoute.parentRefs[0].typo=a",
    f"{ROUTE},httpRoute.hostnames={{a b}}", f"{ROUTE},httpRoute.canaries[0].name=a",
    "httpRoute.canaries[0].name=a,httpRoute.canaries[0].port=80,httpRoute.canaries[0].weight=5",
    "metrics.serviceMonitor.interval=often", "metrics.prometheusRule.runbooks=docs", "networkPolicy.metricsFrom=[{}]",
    "networkPolicy.metricsFrom[0].typo.a=b",
    "networkPolicy.metricsFrom[0].ipBlock.typo=a", "networkPolicy.storeEgress[0].typo[0].port=1",
    "networkPolicy.storeEgress[0].to[0].typo.a=b", "networkPolicy.storeEgress[0].ports[0].typo=1",
    "birthdays.schedule=daily", "birthdays.schedule=a b c d e", "birthdays.days=400", "extraEnv[0].value=a",
    "extraEnv[0].name=A B", "extraEnv[0].name=1A", "podLabels.app\\.kubernetes\\.io/instance=a",
    "podLabels.app\\.kubernetes\\.io/component=a", "podLabels.app\\.kubernetes\\.io/name=a", "tolerations[0].typo=a",
    "typo=1", "postgresql.typo=1",
]
# What takes more than one value to see: the templates refuse it, each with this word.
UNFIT = {
    "autoscaling.minReplicas=4": "maxReplicas",
    "store=sqlite,birthdays.enabled=true": "GET /birthdays",
    "extraEnv[0].name=A,extraEnv[1].name=A": "extraEnv",
}
# What looks like nonsense, and is none.
SENSE = [
    "image.repository=registry.example:5000/some.body/hello__birthday", "postgresql.image=postgres:17.1@sha256:" + 64 * "a",
    f"{EXTERNAL},postgresql.host=db.example", f"{EXTERNAL},postgresql.host=a.example\\,b.example", f"{EXTERNAL},postgresql.host=10.0.0.1", f"{EXTERNAL},postgresql.host=fd00::1",
    f"{EXTERNAL},postgresql.caSecret=a", "postgresql.sslmode=disable",
    "postgresql.replicaUrl=postgresql://reader@a:1\\,[::1]:2\\,c/birthdays?sslmode=require&target_session_attrs=any",
    "resources.requests.cpu=0.5", "resources.requests.cpu=2", "resources.limits.memory=1e9",
    "resources.limits.ephemeral-storage=1Gi",
    f"{ROUTE},httpRoute.hostnames={{*.a.example}}", "birthdays.schedule=*/5 0-6\\,12 1 JAN\\,feb mon-fri",
    "birthdays.schedule=@daily", "podLabels.app\\.kubernetes\\.io/part-of=a",
    "networkPolicy.storeEgress[0].to[0].ipBlock.cidr=10.0.0.0/8,networkPolicy.storeEgress[0].ports[0].port=6380",
]


def helm(*arguments):
    return subprocess.run(["helm", *arguments], capture_output=True, text=True)


def render(values, *more, release="hello"):
    """The objects that the chart renders to."""
    done = helm("template", release, str(CHART), "--values", str(values), *more)
    if done.returncode:
        raise SystemExit(f"{values}: {done.stderr}")
    return done.stdout, [each for each in yaml.safe_load_all(done.stdout) if each]


def of_kind(objects, kind):
    return [each for each in objects if each["kind"] == kind]


def pod_specs(objects):
    """The name and the pod of whatever runs pods."""
    for each in objects:
        name, spec = f"{each['kind']} {each['metadata']['name']}", each.get("spec", {})
        if each["kind"] == "Pod":
            yield name, each["metadata"].get("labels", {}), spec
        elif each["kind"] == "CronJob":
            template = spec["jobTemplate"]["spec"]["template"]
            yield name, template["metadata"]["labels"], template["spec"]
        elif "template" in spec:
            yield name, spec["template"]["metadata"]["labels"], spec["template"]["spec"]


def service(objects):
    """The service's own Deployment, its pod and its container."""
    [deployment] = of_kind(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    return deployment, pod, pod["containers"][0]


def environment(container):
    return {each["name"]: each.get("value") for each in container.get("env", [])}


def fits(selector, labels):
    return all(labels.get(name) == value for name, value in selector.items())


def check_schema(objects):
    for each in objects:
        if each["kind"] not in FOREIGN:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)


def check_pods_are_restricted(objects):
    """As Pod Security's level "restricted" asks, and more: a read-only root, no token, no variable of other Services."""
    for name, _, pod in pod_specs(objects):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] and security["runAsUser"] > 0, name
        assert security["seccompProfile"]["type"] == "RuntimeDefault", name
        assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"], name
            assert security["capabilities"]["drop"] == ["ALL"], name
            resources = container["resources"]
            assert resources["limits"]["memory"] == resources["requests"]["memory"], name
            assert "cpu" in resources["requests"] and "cpu" not in resources["limits"], name


def check_secrets_are_files(objects):
    for name, _, pod in pod_specs(objects):
        for container in pod["containers"]:
            for variable, value in environment(container).items():
                is_secret = any(word in variable for word in ("PASSWORD", "TOKEN", "DATABASE_URL"))
                assert not is_secret or variable.endswith("_FILE"), f"{name}: {variable}={value}"


def check_the_drain_fits(objects):
    """The sleep, the drain's delay and its time-out are over a minute before the pod is killed, and it is watched till then."""
    _, pod, container = service(objects)
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    values = environment(container)
    drain = sum(int(values[f"HELLO_DRAIN_{name}"].removesuffix("s")) for name in ("DELAY", "TIMEOUT"))
    assert pod["terminationGracePeriodSeconds"] == sleep + drain + 60
    [metrics] = [each for each in of_kind(objects, "Service") if each["metadata"]["name"].endswith("-metrics")]
    assert metrics["spec"].get("publishNotReadyAddresses"), "who is unready or stops is not scraped"


def check_probes(objects):
    _, _, container = service(objects)
    path = lambda probe: container[probe]["httpGet"]["path"]
    # A liveness probe that asks the store restarts every pod when the store is away.
    assert (path("startupProbe"), path("livenessProbe"), path("readinessProbe")) == ("/-/healthy", "/-/healthy", "/-/ready")


def check_selectors(objects):
    pods = list(pod_specs(objects))
    for each in of_kind(objects, "Deployment") + of_kind(objects, "StatefulSet"):
        assert fits(each["spec"]["selector"]["matchLabels"], each["spec"]["template"]["metadata"]["labels"])
    for each in of_kind(objects, "Service"):
        selected = [pod for name, labels, pod in pods if fits(each["spec"]["selector"], labels)]
        assert len(selected) == 1, f"Service {each['metadata']['name']} selects {len(selected)} kinds of pods"
        names = {port["name"] for container in selected[0]["containers"] for port in container.get("ports", [])}
        assert {port["targetPort"] for port in each["spec"]["ports"]} <= names, each["metadata"]["name"]
    for each in of_kind(objects, "PodDisruptionBudget"):
        [selected] = [name for name, labels, _ in pods if fits(each["spec"]["selector"]["matchLabels"], labels)]
        assert selected.startswith("Deployment") and each["spec"]["maxUnavailable"] == 1


def check_mounts(objects):
    """Every mount has its volume, and every volume is used."""
    for name, _, pod in pod_specs(objects):
        mounts = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        claims = {"data"} if name.startswith("StatefulSet") else set()
        assert mounts == volumes | claims, f"{name}: {mounts} and {volumes}"


def check_rollout(objects):
    deployment, _, _ = service(objects)
    spec = deployment["spec"]
    scalers = of_kind(objects, "HorizontalPodAutoscaler")
    assert bool(scalers) != ("replicas" in spec), "either the autoscaler or the Deployment says how many"
    if spec["strategy"]["type"] == "Recreate":
        assert spec["replicas"] == 1
        return
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert (scalers[0]["spec"]["minReplicas"] if scalers else spec["replicas"]) >= 2
    for scaler in scalers:
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]


def check_network(objects):
    """Requests come in by the port of the container, scrapes too, and nothing else does; the way to the store is open."""
    policies = {each["spec"]["podSelector"]["matchLabels"].get(COMPONENT, "service"): each["spec"]
                for each in of_kind(objects, "NetworkPolicy")}
    if not policies:
        return
    labels = service(objects)[0]["spec"]["template"]["metadata"]["labels"]
    policy = policies["service"]
    assert fits(policy["podSelector"]["matchLabels"], labels)
    [components] = policy["podSelector"]["matchExpressions"]
    assert labels[COMPONENT] in components["values"]
    assert all(rule.get("from", ["anybody"]) for rule in policy["ingress"]), "an empty list of peers is everybody"
    ports = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    assert ports in (["http", "metrics"], ["http"])
    egress = [port for rule in policy["egress"] for port in rule["ports"]]
    assert {port["protocol"] for port in egress if port["port"] == 53} == {"UDP", "TCP"}
    variables = environment(service(objects)[2])
    store = int(variables.get("POSTGRES_PORT", 6379 if "DATABASE_URL_FILE" in variables else 0))
    assert not store or store in [port["port"] for port in egress], "no way to the store"
    network_of_the_installed_store(objects, policies, store)


def network_of_the_installed_store(objects, policies, store):
    """Whoever belongs to a service of this namespace gets in, nobody else does, and nothing gets out."""
    servers = [labels for name, labels, _ in pod_specs(objects) if name.startswith("StatefulSet")]
    assert len(servers) == len(policies) - 1
    for server in servers:
        [way] = [rule for rule in policies["service"]["egress"] if {"port": store} in rule["ports"]]
        assert fits(way["to"][0]["podSelector"]["matchLabels"], server)
        policy = policies["postgresql"]
        assert fits(policy["podSelector"]["matchLabels"], server)
        assert policy["policyTypes"] == ["Ingress", "Egress"] and "egress" not in policy
        [rule] = policy["ingress"]
        [peer] = rule["from"]
        assert rule["ports"] == [{"port": "postgresql"}] and list(peer) == ["podSelector"]
        [components] = peer["podSelector"]["matchExpressions"]
        for name, labels, pod in pod_specs(objects):
            asks = "/secrets/store" in {mount["mountPath"] for mount in pod["containers"][0].get("volumeMounts", [])}
            others = labels | {"app.kubernetes.io/instance": "canary"}
            gets_in = fits(peer["podSelector"]["matchLabels"], others) and labels[COMPONENT] in components["values"]
            assert gets_in == (asks and labels != server), name


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]


def check_each_set(folder):
    rendered = folder / "rendered"
    rendered.mkdir()
    for name, values in SETS.items():
        text, objects = render(values)
        (rendered / f"{name}.yaml").write_text(text)
        for check in CHECKS:
            try:
                check(objects)
            except (AssertionError, kubernetes_validate.ValidationError) as error:
                raise SystemExit(f"{name}: {check.__name__}: {error or 'does not hold'}") from error
        print(f"{name}: {len(objects)} objects, {len(CHECKS)} checks")


def check_particular_sets():
    kinds = lambda name: {each["kind"] for each in render(SETS[name])[1]}
    assert not kinds("defaults") & {"Ingress", "HTTPRoute", "CronJob", "PersistentVolumeClaim"}
    assert {each["spec"].get("type") for each in of_kind(render(SETS["defaults"])[1], "Service")} <= {"ClusterIP", None}
    assert "PersistentVolumeClaim" in kinds("sqlite")
    assert not kinds("sqlite") & {"HorizontalPodAutoscaler", "PodDisruptionBudget", "Job", "StatefulSet"}
    assert not kinds("redis") & {"Job", "StatefulSet"}
    assert "StatefulSet" not in kinds("production")
    assert kinds("everything") >= {"Ingress", "HTTPRoute", "CronJob", "ServiceMonitor", "PrometheusRule", "ConfigMap"}
    assert not kinds("minimal") & {"NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    unscraped = render(SETS["defaults"], "--set-json", "networkPolicy.metricsFrom=[]")[1]
    check_network(unscraped)
    assert "metrics" not in str(of_kind(unscraped, "NetworkPolicy")), "nobody may scrape, and somebody may"
    production = environment(service(render(SETS["production"])[1])[2])
    assert production["HELLO_REQUIRE_AUTH"] == "true" and production["POSTGRES_SSLMODE"] == "verify-full"
    replica = environment(service(render(SETS["replica"])[1])[2])
    assert replica["DATABASE_REPLICA_URL"] == "postgres://replica.example"
    [migration] = [pod["containers"][0] for name, _, pod in pod_specs(render(SETS["replica"])[1]) if name.startswith("Job")]
    authorities = [mount["mountPath"] + "/ca.crt" for mount in migration["volumeMounts"] if mount["name"] == "ca"]
    assert authorities and f"sslrootcert={authorities[0]}`" in PAGE.read_text(), "the page names another file"


def check_pods_find_their_place():
    """What says where to pull from goes with every pod, and on which nodes with all that run the program."""
    for name, _, pod in pod_specs(render(SETS["everything"])[1]):
        assert pod.get("imagePullSecrets"), name
        runs_program = pod["containers"][0]["image"].startswith("registry.example/hello")
        assert not runs_program or pod.get("nodeSelector") and pod.get("tolerations"), name


def check_the_image_is_made():
    """`make build` makes the image that the chart looks for where nobody says which."""
    commands = subprocess.run(["make", "--dry-run", "build"], capture_output=True, text=True, check=True).stdout.split()
    made = {word for before, word in zip(commands, commands[1:]) if before == "--tag"}
    _, _, container = service(render(SETS["defaults"])[1])
    assert container["image"] in made, f"{container['image']} is none of {made}"
    assert f"kind load docker-image {container['image']}\n" in PAGE.read_text()
    program = tomllib.loads((HERE.parents[1] / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == program


def check_runbooks():
    """Each alert leads to its page, at the address that is set."""
    rules = lambda *more: str(of_kind(render(SETS["production"], *more)[1], "PrometheusRule"))
    pages = rules().count("'runbook_url': 'docs/runbooks/")
    address = "https://wiki.example/#/birthdays"
    there = rules("--set", f"metrics.prometheusRule.runbooks={address}/")
    assert pages and there.count(f"'runbook_url': '{address}/") == pages and "docs/runbooks" not in there


def check_notes():
    """They say where the service is reached, and who reaches it."""
    for options, words in {
        "": ["port-forward service/hello-hello-birthday 8080:80", "Whoever reaches it"],
        "service.type=NodePort,service.nodePort=30080": ["http://NODE:30080/", "FROM OUTSIDE"],
        "service.type=NodePort": ["get service hello-hello-birthday --output jsonpath", "FROM OUTSIDE"],
        "ingress.enabled=true,ingress.host=a.example": ["http://a.example/", "FROM OUTSIDE"],
        "ingress.enabled=true,ingress.host=a.example,ingress.tlsSecret=b,tokensSecret=c": ["https://a.example/"],
        "httpRoute.enabled=true,httpRoute.parentRefs[0].name=g,httpRoute.hostnames={a.example,b.example}":
            ["//a.example/", "//b.example/", "FROM OUTSIDE"],
        "httpRoute.enabled=true,httpRoute.parentRefs[0].name=g": ["get gateway g", "FROM OUTSIDE"],
    }.items():
        notes = helm("install", "hello", str(CHART), "--dry-run=client", "--set", options).stdout.partition("\nNOTES:\n")[2]
        assert all(word in notes for word in words), f"{options}: {words} are not all in {notes}"
        outside = [word for word in words if "//" in word]
        assert not outside or "port-forward" not in notes, f"{options}: {notes}"


def check_migrations_by_version():
    """Each version has a Job of its own, and the same version the same one."""
    values = SETS["minimal"]
    once, again, other = (render(values, "--set", f"image.tag={tag}") for tag in ("1.0.0", "1.0.0", "1.0.1"))
    assert once[0] == again[0]
    name = lambda objects: of_kind(objects, "Job")[0]["metadata"]["name"]
    job = of_kind(once[1], "Job")[0]["spec"]
    assert job["template"]["spec"]["restartPolicy"] == "Never", "a pod that failed is gone with its log"
    assert "ttlSecondsAfterFinished" not in job, "GitOps would miss the Job and run it again"
    assert name(once[1]) != name(other[1]) and "1-0-0" in name(once[1]) and len(name(once[1])) <= 63


def helm_commands(text):
    """What is installed or upgraded by each command: the release, and its `--set` options."""
    for command in re.findall(r"^\$ (helm (?:install|upgrade) .*)", text.replace("\\\n", ""), re.MULTILINE):
        words = shlex.split(command)
        kept = {"--reset-then-reuse-values", "--values"} & set(words)
        assert kept, f"{command} forgets what was set, or misses new defaults"
        release = next(word for word in words[2:] if not word.startswith("-"))
        yield release, [pair for pair in zip(words, words[1:]) if pair[0].startswith("--set")]


def check_canary():
    """The page's commands give a canary its share, all of the first release's settings, and end it."""
    page = PAGE.read_text()
    assert len(list(helm_commands(page))) >= 6
    commands = list(helm_commands(page.partition("\n## A canary\n")[2].partition("\n## ")[0]))
    assert [release for release, _ in commands] == ["canary"] + 3 * ["hello-birthday"], commands
    for name in ("defaults", "autoscaling-off", "everything", "replica", "redis", "production"):
        canary_of(name, [options for _, options in commands])


def canary_of(name, commands):
    values = yaml.safe_load(SETS[name].read_text())
    server = {"enabled": True, "existingSecret": ""} | values.get("postgresql", {})
    # As the page says: what leads to the installed server is left out for any other, and its Secret where another is named.
    installed = server["enabled"] and "store" not in values
    left_out = ["postgresql."] if not installed else ["postgresql.existingSecret"] if server["existingSecret"] else []
    install, *upgrades = [
        [word for pair in options if not pair[1].startswith(tuple(left_out)) for word in pair] for options in commands
    ]
    canary = render(SETS[name], *install, release="canary")[1]
    first, shared, further, alone = (
        render(SETS[name], *sum(upgrades[:count], []), release="hello-birthday")[1] for count in range(4)
    )
    named = lambda objects: {(each["kind"], each["metadata"]["name"]) for each in objects}
    assert not named(canary) & named(shared), f"{name}: both have {named(canary) & named(shared)}"
    unwanted = {"HTTPRoute", "Ingress", "HorizontalPodAutoscaler", "PrometheusRule", "CronJob", "StatefulSet", "ConfigMap"}
    assert not unwanted & {each["kind"] for each in canary}, name
    assert {each["spec"].get("type", "ClusterIP") for each in of_kind(canary, "Service")} == {"ClusterIP"}, name

    services = {each["metadata"]["name"]: each["spec"]["ports"][0]["port"] for each in of_kind(canary, "Service")}
    shares = lambda objects: {to["name"]: to for to in of_kind(objects, "HTTPRoute")[0]["spec"]["rules"][0]["backendRefs"]}
    ways, own = shares(shared), values.get("fullnameOverride", "hello-birthday")
    assert {way: to["weight"] for way, to in ways.items()} == {own: 95, "canary-hello-birthday": 5}, name
    assert services["canary-hello-birthday"] == ways["canary-hello-birthday"]["port"], name
    assert {way: to["weight"] for way, to in shares(alone).items()} == {own: 100}, name

    _, pod, container = service(canary)
    _, first_pod, first_container = service(first)
    assert container["env"] == first_container["env"], f"{name}: {container['env']} is not {first_container['env']}"
    assert pod["volumes"] == first_pod["volumes"], f"{name}: other secrets"
    assert container["image"] == re.split("[:@]", first_container["image"])[0] + ":1.1.0", container["image"]
    assert service(further)[2]["image"] == service(alone)[2]["image"] == container["image"], name


def check_own_variables_win():
    """A variable of `extraEnv` is there once, and it is that one."""
    own = {"RUST_LOG": "debug", "HELLO_TOKENS_FILE": "/elsewhere", "POSTGRES_USERNAME": "anna", "HELLO_RATE_LIMIT": "9"}
    variables = json.dumps([{"name": name, "value": value} for name, value in own.items()])
    container = service(render(SETS["production"], "--set-json", f"extraEnv={variables}")[1])[2]
    assert environment(container).items() >= own.items() and "POSTGRES_HOST" in environment(container)
    assert len(environment(container)) == len(container["env"]), "a variable is there twice"


def check_any_tag_makes_labels():
    """A tag may be longer than a label, and begin and end otherwise."""
    for tag in ("1.0.", "_1-", "1" * 128, "1" * 62 + "-2"):
        _, objects = render(SETS["minimal"], "--set-string", f"image.tag={tag}")
        for each in objects:
            for label in each["metadata"]["labels"].values():
                assert len(label) <= 63 and re.fullmatch("([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?", label), label
        assert service(objects)[2]["image"].endswith(f":{tag}")


def check_nonsense():
    for nonsense in NONSENSE:
        done = helm("template", "hello", str(CHART), "--set-json" if "=[" in nonsense else "--set", nonsense)
        assert done.returncode and "schema" in done.stderr, f"{nonsense} is not refused by the schema: {done.stderr}"
    for unfit, word in UNFIT.items():
        done = helm("template", "hello", str(CHART), "--set", unfit)
        assert done.returncode and word in done.stderr, f"{unfit} is not refused by the templates: {done.stderr}"
    for sense in SENSE:
        done = helm("template", "hello", str(CHART), "--set", sense)
        assert not done.returncode, f"{sense} is refused: {done.stderr}"
    print(f"{len(NONSENSE) + len(UNFIT)} kinds of nonsense refused, {len(SENSE)} that are none taken")


def main():
    check_each_set(Path(sys.argv[1]))
    check_particular_sets()
    check_pods_find_their_place()
    check_the_image_is_made()
    check_runbooks()
    check_notes()
    check_migrations_by_version()
    check_canary()
    check_own_variables_win()
    check_any_tag_makes_labels()
    check_nonsense()


main()
