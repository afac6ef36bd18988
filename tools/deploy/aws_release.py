"""Do deploy/aws/release and deploy/aws/rotate do what they say, when all goes well and when something fails?

    aws_release.py [CHECK...]    all of them, or some by name

Runs the scripts themselves with the real command line of AWS against moto, each check in an account of its own. Played here
is what moto doesn't: what becomes of tasks and deployments (by the image, or by what `faults` says), the autoscaler that holds
the least number of tasks, and docker, a script that notes its arguments and lays a manifest of nothing into the registry.
"""
import http.server
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import boto3
from moto.applicationautoscaling import models as scaling
from moto.core.exceptions import JsonRESTError
from moto.ecs import models as ecs
from moto.ecs import responses
from moto.moto_api import state_manager
from moto.moto_api._internal.models import moto_api_backend
from moto.rds.models import rds_backends
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT, REGION, NAME = "123456789012", "eu-west-1", "hello-birthday"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{NAME}"
NO_IMAGE, GOOD, OTHER, ENDS_BADLY, NEVER_HEALTHY, FAILS, SLOW = (f"{REPOSITORY}@sha256:{letter * 64}" for letter in "0abcdef")
FAMILIES = {"service": NAME, "migrate": f"{NAME}-migrate", "roles": f"{NAME}-roles"}
DOCKER = """#!/bin/sh
echo "$*" >>"$HOME/docker.log"
put() { aws ecr put-image --repository-name hello-birthday --image-manifest '{"schemaVersion": 2}' \\
    --image-manifest-media-type application/vnd.docker.distribution.manifest.v2+json "$@"; }
case $1 in
    login) cat >/dev/null ;;
    push) put --image-tag "${2##*:}" ;;
    buildx) put --image-tag "${5##*:}" --image-digest "${6#*@}" ;;
esac
"""
CHECKS = []
faults = {}


def check(function):
    """What follows is one of the checks."""
    CHECKS.append(function)
    return function


@check
def the_first_roles(account):
    # The autoscaler may have raised the number of tasks, which can't start without an image.
    account.ecs.update_service(cluster=NAME, service=NAME, desiredCount=2)
    faults["updates"].clear()
    said = account.script("rotate")
    admin, made = account.secret("admin"), account.secret("service")
    expect(admin == {"username": "hello_admin", "password": account.admin_password()} and len(admin["password"]) == 40, list(admin))
    expect(made["username"] == "hello_service_1" and len(made["password"]) == 40, list(made))
    expect(made["replica_url"] == f"postgres://hello_service_1:{made['password']}@replica.example.org/hello"
           "?sslmode=verify-full&sslrootcert=-----BEGIN%20CERTIFICATE-----%0AMA%3D%3D", made["replica_url"])
    expect("nothing runs yet" in said and not faults["updates"], said)


@check
def the_roles_again(account):
    account.runs(GOOD)
    account.script("rotate")
    account.script("rotate")
    expect(account.secret("service")["username"] == "hello_service_2", "the service has the second role")
    expect(account.secret("migration")["username"] == "hello_migration_2", "and so have the migrations")
    expect([update.get("force_new_deployment") for update in faults["updates"]] == [True, True], "each time the tasks are replaced")


@check
def the_roles_are_not_made(account):
    account.runs(GOOD)
    account.script("rotate")
    faults["roles end with"] = 3
    said = account.script("rotate", code=1)
    expect('"exitCode":3' in said and account.secret("service")["username"] == "hello_service_1", said)


@check
def the_first_release(account):
    said = account.script("release")
    image, tasks = account.service()
    expect(image.startswith(f"{REPOSITORY}@sha256:") and image != NO_IMAGE and tasks == 2, said)
    expect(account.least_tasks() == 2 and "--revision" not in said, said)


@check
def the_first_release_fails(account):
    # Terraform has written the templates again since it made the service.
    account.write_templates()
    faults["ready"] = 503
    said = account.script("release", "--image", GOOD, code=1)
    expect("no release before this one" in said and account.service() == (NO_IMAGE, 0) and account.least_tasks() == 0, said)


@check
def a_release_of_the_same_commit(account):
    account.script("release")
    account.script("release")
    expect(account.docker("push") == 1 and account.docker("build") == 1, "an image is built once")


@check
def a_release_of_what_a_pipeline_built(account):
    account.runs(OTHER)
    source = f"registry.example.org/hello@{GOOD.split('@')[1]}"
    said = account.script("release", "--copy", source)
    account.script("release", "--copy", source)
    expect(account.service() == (GOOD, 2) and f"to go back: {ROOT}/deploy/aws/release --revision {NAME}:2" in said, said)
    expect(account.docker("buildx") == 1 and account.docker("build") == 0, "it is copied once, and not built")


@check
def back_to_an_earlier_one(account):
    first = account.runs(OTHER)
    account.runs(GOOD)
    account.script("release", "--revision", first)
    expect(account.service() == (OTHER, 2) and not account.tasks(), "the first one runs again, without a migration")


@check
def what_is_not_released(account):
    account.runs(GOOD)
    (account.sources / "new").write_text("")
    for arguments, why in (((), "not committed"), (("--image", f"{REPOSITORY}:latest"), "by its digest"),
                           (("--copy", "registry.example.org/hello:1"), "by its digest"), (("--now", "1"), "what is --now?")):
        said = account.script("release", *arguments, code=1)
        expect(why in said, said)
    expect(account.service() == (GOOD, 2) and not account.tasks(), "nothing has happened")


@check
def a_migration_fails(account):
    account.runs(GOOD)
    said = account.script("release", "--image", ENDS_BADLY, code=1)
    expect('"exitCode":1' in said and account.service() == (GOOD, 2) and not faults["updates"], said)


@check
def a_migration_is_not_started(account):
    account.runs(GOOD)
    faults["not started"] = "RESOURCE:MEMORY"
    said = account.script("release", "--image", OTHER, code=1)
    expect("RESOURCE:MEMORY" in said and not faults["updates"], said)


@check
def looks_fail(account):
    account.runs(GOOD)
    faults["looks"] = 3
    said = account.script("release", "--image", OTHER)
    expect(not faults["looks"] and account.service() == (OTHER, 2), said)


@check
def ecs_goes_back(account):
    account.runs(GOOD)
    said = account.script("release", "--image", NEVER_HEALTHY, code=1)
    expect("ECS has gone back by itself" in said and account.service() == (GOOD, 2), said)


@check
def the_rollout_fails(account):
    account.runs(GOOD)
    said = account.script("release", "--image", FAILS, code=1)
    expect("don't come up" in said and account.service() == (GOOD, 2), said)


@check
def it_takes_too_long(account):
    account.runs(GOOD)
    said = account.script("release", "--image", SLOW, code=1, WITHIN="10")
    expect("were not replaced within 10 seconds" in said and account.service() == (GOOD, 2), said)


@check
def it_is_not_ready(account):
    account.runs(GOOD)
    faults["ready"] = 503
    said = account.script("release", "--image", OTHER, code=1)
    expect("does not answer with 200" in said and "back to" in said and account.service() == (GOOD, 2), said)


@check
def going_back_fails(account):
    account.runs(FAILS)
    faults["ready"] = 503
    said = account.script("release", "--image", GOOD, code=1)
    expect("going back did not work either" in said, said)


@check
def somebody_interrupts(account):
    account.runs(GOOD)
    for number in (signal.SIGINT, signal.SIGTERM):
        said = account.script("release", "--image", SLOW, code=130, interrupt=number, WITHIN="60")
        expect("ECS goes on" in said and "to go back:" in said, said)


class Account:
    """What Terraform makes, a repository with a commit, and a docker that pushes nothing."""

    def __init__(self, folder, endpoint, url):
        self.folder, self.sources = folder, folder / "sources"
        keys = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
        self.environment = {**os.environ, **keys, "AWS_REGION": REGION, "URL": url, "EVERY": "1", "WITHIN": "20", "HOME": str(folder),
                            "PATH": f"{folder}:{os.environ['PATH']}", "GIT_CONFIG_GLOBAL": "/dev/null"}
        os.environ.update(keys)
        (folder / "docker.log").write_text("")
        docker = folder / "docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)
        self.sources.mkdir()
        for line in ("init --quiet", "-c user.name=x -c user.email=x@example.org commit --quiet --allow-empty --message=x"):
            subprocess.run(["git", "-C", str(self.sources), *line.split()], env=self.environment, check=True)
        self.ecs, self.secrets, self.scaling = map(boto3.client, ("ecs", "secretsmanager", "application-autoscaling"))
        self.network()
        boto3.client("ecr").create_repository(repositoryName=NAME)
        boto3.client("rds").create_db_instance(
            DBInstanceIdentifier=NAME, DBInstanceClass="db.t4g.micro", Engine="postgres", AllocatedStorage=20,
            MasterUsername="hello_admin", MasterUserPassword="nobody-knows-it")
        for secret in ("admin", "service", "migration"):
            self.secrets.create_secret(Name=f"{NAME}/{secret}")
        self.ecs.create_cluster(clusterName=NAME)
        self.write_templates()
        self.ecs.create_service(cluster=NAME, serviceName=NAME, desiredCount=0, taskDefinition=f"{NAME}:1")
        self.scaling.register_scalable_target(ServiceNamespace="ecs", ScalableDimension="ecs:service:DesiredCount",
                                              ResourceId=f"service/{NAME}/{NAME}", MinCapacity=0, MaxCapacity=6)

    def network(self):
        ec2 = boto3.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        self.subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        self.group = ec2.create_security_group(VpcId=vpc, GroupName="x", Description="x")["GroupId"]

    def write_templates(self):
        """As an apply of Terraform does, which also says where they are."""
        templates = {f"{key}_template": self.revision(key, NO_IMAGE) for key in ("service", "migrate")}
        self.revision("roles", NO_IMAGE, release=json.dumps({
            "cluster": NAME, "service": NAME, "capacity_provider": "FARGATE", "subnets": [self.subnet], "security_group": self.group,
            "tasks_min": 2, "repository": REPOSITORY, "platform": "linux/arm64", "url": "https://birthdays.example.org",
            "no_image": NO_IMAGE, "database_instance": NAME, "database": "hello", "replicas": ["replica.example.org"],
            **{f"{key}_secret": f"{NAME}/{key}" for key in ("admin", "service", "migration")},
            "log_group": f"/{NAME}/service", "reachable_by_anyone": False, **templates}))

    def revision(self, key, image, **labels):
        return self.ecs.register_task_definition(
            family=FAMILIES[key], networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            containerDefinitions=[{"name": key, "image": image, "memory": 512, "dockerLabels": labels, "environment": [
                {"name": "POSTGRES_SSLROOTCERT", "value": "-----BEGIN CERTIFICATE-----\nMA=="}]}])["taskDefinition"]["taskDefinitionArn"]

    def runs(self, image):
        """There has been a release of that image; its revision."""
        revision = self.revision("service", image)
        self.ecs.update_service(cluster=NAME, service=NAME, taskDefinition=revision, desiredCount=2)
        faults["updates"].clear()
        return revision.split("/")[-1]

    def service(self):
        """The image and the number of tasks that ECS is told to run."""
        found = self.ecs.describe_services(cluster=NAME, services=[NAME])["services"][0]
        return image_of(ecs.ecs_backends[ACCOUNT][REGION], found["taskDefinition"]), found["desiredCount"]

    def tasks(self):
        return self.ecs.list_tasks(cluster=NAME)["taskArns"] + self.ecs.list_tasks(cluster=NAME, desiredStatus="STOPPED")["taskArns"]

    def least_tasks(self):
        return self.scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"][0]["MinCapacity"]

    def secret(self, name):
        return json.loads(self.secrets.get_secret_value(SecretId=f"{NAME}/{name}", VersionStage="AWSCURRENT")["SecretString"])

    def admin_password(self):
        """The one that the database takes."""
        return rds_backends[ACCOUNT][REGION].databases[NAME]._master_user_password

    def docker(self, verb):
        """How often docker was told that."""
        return [line.split()[0] for line in (self.folder / "docker.log").read_text().splitlines()].count(verb)

    def script(self, name, *arguments, code=0, interrupt=None, **settings):
        """Runs one of the scripts, and says what it said if it ends otherwise than it should."""
        process = subprocess.Popen([ROOT / "deploy/aws" / name, *arguments], env={**self.environment, **settings}, cwd=self.sources,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        if interrupt:
            before = len(faults["updates"])
            while len(faults["updates"]) == before and process.poll() is None:
                time.sleep(0.1)
            # As a terminal does, and as whoever cancels a job.
            os.killpg(process.pid, interrupt)
        said = process.communicate(timeout=300)[0]
        expect(process.returncode == code, f"{name} ended with {process.returncode}, not {code}:\n{said}")
        return said


def play_what_moto_does_not():
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": 1})
    backend = ecs.EC2ContainerServiceBackend
    make, update, register = ecs.Task.__init__, backend.update_service, scaling.ApplicationAutoscalingBackend.register_scalable_target
    describe, run = responses.EC2ContainerServiceResponse.describe_services, responses.EC2ContainerServiceResponse.run_task

    def make_task(self, *arguments, **named):
        make(self, *arguments, **named)
        is_bad = self.containers[0].image == ENDS_BADLY
        self.containers[0].exitCode = 1 if is_bad else faults["roles end with"] if FAMILIES["roles"] in self.task_definition_arn else 0

    def run_task(self):
        answer = run(self)
        if faults["not started"]:
            answer.result.update(tasks=[], failures=[{"reason": faults["not started"]}])
        return answer

    def update_service(self, properties):
        faults["updates"].append(dict(properties))
        before = self._get_service(properties["cluster"], NAME).task_definition
        service = update(self, properties)
        image = image_of(self, service.task_definition)
        service.deployments[0]["rolloutState"] = {FAILS: "FAILED", SLOW: "IN_PROGRESS"}.get(image, "COMPLETED")
        if image == NEVER_HEALTHY:
            service.task_definition = before
        return service

    def describe_services(self):
        if faults["looks"] and faults["updates"]:
            faults["looks"] -= 1
            raise JsonRESTError("ClientException", "nobody is there")
        return describe(self)

    def register_scalable_target(self, *which, **named):
        service = self.ecs_backend._get_service(NAME, NAME)
        service.desired_count = max(service.desired_count, named["min_capacity"])
        return register(self, *which, **named)

    ecs.Task.__init__, backend.update_service = make_task, update_service
    responses.EC2ContainerServiceResponse.describe_services, responses.EC2ContainerServiceResponse.run_task = describe_services, run_task
    scaling.ApplicationAutoscalingBackend.register_scalable_target = register_scalable_target


def image_of(backend, revision):
    return backend.describe_task_definition(revision).container_definitions[0]["image"]


def serve_readiness():
    class Ready(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(faults["ready"] if self.path == "/-/ready" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    return web


def expect(condition, words):
    if not condition:
        sys.exit(words)


def main(names):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Who was started in the background ignores interruptions, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    play_what_moto_does_not()
    server, web = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False), serve_readiness()
    server.start()
    for each in CHECKS:
        if names and each.__name__ not in names:
            continue
        moto_api_backend.reset()
        state_manager.set_transition("ecs::task", {"progression": "manual", "times": 1})
        faults.update({"ready": 200, "roles end with": 0, "not started": None, "looks": 0, "updates": []})
        with tempfile.TemporaryDirectory() as folder:
            each(Account(Path(folder), f"http://127.0.0.1:{server.get_host_and_port()[1]}", f"http://127.0.0.1:{web.server_port}"))
        print(f"{each.__name__.replace('_', ' ')}: as it should be", flush=True)
    server.stop()
    web.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
