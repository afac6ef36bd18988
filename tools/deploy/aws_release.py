"""Do deploy/aws/release and deploy/aws/rotate do what they say, when all goes well and when something fails?

Runs the scripts themselves with the real command line of AWS, against moto. What moto doesn't play is added here: a task
ends badly, and ECS goes back, if the image is one of those below. Docker is a script that pushes a manifest of nothing.
"""
import http.server
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from moto.ecs import models as ecs
from moto.moto_api import state_manager
from moto.rds.models import rds_backends
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).resolve().parents[2]
GOOD, ENDS_BADLY, NEVER_HEALTHY = (letter * 64 for letter in "abc")
NAMES = {"service": "hello-birthday", "migrate": "hello-birthday-migrate", "roles": "hello-birthday-roles"}
answer = {"status": 200}
roles_end_with = {"code": 0}


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    play_what_moto_does_not()
    server, web = ThreadedMotoServer(port=0, verbose=False), serve_readiness()
    server.start()
    with tempfile.TemporaryDirectory() as folder:
        host, port = server.get_host_and_port()
        environment = prepare(Path(folder), f"http://127.0.0.1:{port}", f"http://127.0.0.1:{web.server_port}")
        for check in (the_roles, the_first_release_fails, releases, a_migration_fails, ecs_goes_back, it_is_not_ready,
                      back_to_an_earlier_one, the_roles_again, a_rotation_fails):
            check(environment)
            print(f"{check.__name__.replace('_', ' ')}: as it should be")
    server.stop()
    web.shutdown()


def play_what_moto_does_not():
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": 1})
    make, update = ecs.Task.__init__, ecs.EC2ContainerServiceBackend.update_service

    def make_task(self, *arguments, **named):
        make(self, *arguments, **named)
        is_bad = ENDS_BADLY in self.containers[0].image
        self.containers[0].exitCode = 1 if is_bad else roles_end_with["code"] if "roles" in self.task_definition_arn else 0

    def update_service(self, properties):
        cluster = properties["cluster"]
        before = self._get_service(cluster, NAMES["service"]).task_definition
        service = update(self, properties)
        image = self.describe_task_definition(service.task_definition).container_definitions[0]["image"]
        if NEVER_HEALTHY in image:
            service.task_definition = before
        return service

    ecs.Task.__init__, ecs.EC2ContainerServiceBackend.update_service = make_task, update_service


def serve_readiness():
    class Ready(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(answer["status"] if self.path == "/-/ready" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    return web


def prepare(folder, endpoint, url):
    """An account with what Terraform makes, a repository with a commit, and a docker that pushes nothing."""
    programs, sources = folder / "programs", folder / "sources"
    programs.mkdir()
    sources.mkdir()
    environment = {**os.environ, "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                   "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "URL": url, "EVERY": "1", "WITHIN": "20",
                   "HOME": str(folder), "SOURCES": str(sources), "PATH": f"{programs}:{os.environ['PATH']}",
                   "GIT_CONFIG_GLOBAL": "/dev/null"}
    docker = programs / "docker"
    docker.write_text("#!/bin/sh\n[ \"$1\" != login ] || cat >/dev/null\n[ \"$1\" = push ] || exit 0\nrepository=${2#*/}\n"
                      "aws ecr put-image --repository-name \"${repository%%:*}\" --image-tag \"${2##*:}\" "
                      "--image-manifest '{\"schemaVersion\": 2}' "
                      "--image-manifest-media-type application/vnd.docker.distribution.manifest.v2+json\n")
    docker.chmod(0o755)
    for line in ("init --quiet", "-c user.name=x -c user.email=x@example.org commit --quiet --allow-empty --message=x"):
        subprocess.run(["git", "-C", str(sources), *line.split()], env=environment, check=True)

    vpc = aws(environment, "ec2 create-vpc --cidr-block 10.0.0.0/16")["Vpc"]["VpcId"]
    aws(environment, f"ec2 modify-vpc-attribute --vpc-id {vpc} --enable-dns-hostnames")
    subnet = aws(environment, f"ec2 create-subnet --vpc-id {vpc} --cidr-block 10.0.0.0/24")["Subnet"]["SubnetId"]
    group = aws(environment, f"ec2 create-security-group --vpc-id {vpc} --group-name x --description x")["GroupId"]
    repository = aws(environment, "ecr create-repository --repository-name hello-birthday")["repository"]["repositoryUri"]
    templates = {key: template(environment, key, repository) for key in NAMES}
    aws(environment, "ecs create-cluster --cluster-name hello-birthday")
    aws(environment, "ecs create-service --cluster hello-birthday --service-name hello-birthday --desired-count 0"
                     f" --task-definition {templates['service']}")
    aws(environment, "rds create-db-instance --db-instance-identifier hello-birthday --db-instance-class db.t4g.micro --engine postgres"
                     " --allocated-storage 20 --master-username hello_admin --master-user-password nobody-knows-it")
    for secret in ("admin", "service", "migration"):
        aws(environment, f"secretsmanager create-secret --name hello-birthday/{secret}")
    installation = {
        "cluster": "hello-birthday", "service": "hello-birthday", "capacity_provider": "FARGATE", "subnets": [subnet],
        "security_group": group, "tasks_min": 2, "repository": repository, "platform": "linux/arm64", "url": url,
        "database_instance": "hello-birthday", "admin_secret": "hello-birthday/admin",
        "service_secret": "hello-birthday/service", "migration_secret": "hello-birthday/migration", "database": "hello",
        "replicas": ["replica.example.org"], "log_group": "/hello-birthday/service", "reachable_by_anyone": False,
        **{f"{key}_template": arn for key, arn in templates.items()}}
    aws(environment, "ssm put-parameter --name /hello-birthday/release --type String --value", json.dumps(installation))
    return environment


def template(environment, key, repository):
    container = {"name": key, "memory": 512, "image": f"{repository}@sha256:{'0' * 64}",
                 "environment": [{"name": "POSTGRES_SSLROOTCERT", "value": "-----BEGIN CERTIFICATE-----\nMA=="}]}
    made = aws(environment, f"ecs register-task-definition --family {NAMES[key]} --network-mode awsvpc"
                            " --requires-compatibilities FARGATE --cpu 256 --memory 512 --container-definitions",
               json.dumps([container]))
    return made["taskDefinition"]["taskDefinitionArn"]


def aws(environment, line, *more):
    ended = subprocess.run(["aws", *line.split(), *more, "--output", "json"], env=environment, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"aws {line}: {ended.stderr}")
    return json.loads(ended.stdout or "{}")


def script(environment, name, *arguments, code=0):
    """Runs one of the scripts, and says what it said if it ends otherwise than it should."""
    ended = subprocess.run([ROOT / "deploy/aws" / name, *arguments], env=environment, cwd=environment["SOURCES"],
                           capture_output=True, text=True, timeout=120)
    expect(ended.returncode == code, f"{name} ended with {ended.returncode}, not {code}:\n{ended.stderr}")
    return ended.stderr


def expect(condition, words):
    if not condition:
        sys.exit(words)


def service(environment):
    """The revision and the number of tasks that ECS is told to run."""
    found = aws(environment, "ecs describe-services --cluster hello-birthday --services hello-birthday")["services"][0]
    return found["taskDefinition"].split("/")[-1], found["desiredCount"]


def image_of(environment, revision):
    return aws(environment, f"ecs describe-task-definition --task-definition {revision}")["taskDefinition"][
        "containerDefinitions"][0]["image"]


def image(digest):
    return f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello-birthday@sha256:{digest}"


def secret(environment, name):
    line = f"secretsmanager get-secret-value --secret-id hello-birthday/{name} --version-stage AWSCURRENT"
    return json.loads(aws(environment, line)["SecretString"])


def admin_password():
    """The one that the database takes."""
    return rds_backends["123456789012"]["eu-west-1"].databases["hello-birthday"]._master_user_password


def the_roles(environment):
    script(environment, "rotate")
    made = secret(environment, "service")
    expect(made["username"] == "hello_service_1" and len(made["password"]) == 40, f"the secret is {list(made)}")
    expect(made["replica_url"] == f"postgres://hello_service_1:{made['password']}@replica.example.org/hello"
           "?sslmode=verify-full&sslrootcert=-----BEGIN%20CERTIFICATE-----%0AMA%3D%3D", made["replica_url"])
    admin = secret(environment, "admin")
    expect(admin == {"username": "hello_admin", "password": admin_password()} and len(admin["password"]) == 40, f"the secret is {list(admin)}")
    expect(service(environment)[1] == 0, "nothing runs before the first release")


def the_first_release_fails(environment):
    before = service(environment)
    answer["status"] = 503
    said = script(environment, "release", "--image", image(GOOD), code=1)
    answer["status"] = 200
    expect("no release before this one" in said and service(environment) == before, said)


def releases(environment):
    said = script(environment, "release")
    revision, tasks = service(environment)
    expect("@sha256:" in image_of(environment, revision) and tasks == 2, f"{revision} runs {tasks} times: {said}")
    again = script(environment, "release")
    expect(image_of(environment, service(environment)[0]) == image_of(environment, revision), again)


def a_migration_fails(environment):
    before = service(environment)
    said = script(environment, "release", "--image", image(ENDS_BADLY), code=1)
    expect('"exitCode":1' in said and service(environment) == before, said)


def ecs_goes_back(environment):
    before = service(environment)
    said = script(environment, "release", "--image", image(NEVER_HEALTHY), code=1)
    expect("ECS has gone back by itself" in said and service(environment) == before, said)


def it_is_not_ready(environment):
    before = service(environment)
    answer["status"] = 503
    said = script(environment, "release", "--image", image(GOOD), code=1)
    answer["status"] = 200
    expect("does not answer with 200" in said and "back to" in said and service(environment) == before, said)


def back_to_an_earlier_one(environment):
    first = service(environment)[0]
    script(environment, "release", "--image", image(GOOD))
    expect(image_of(environment, service(environment)[0]) == image(GOOD), "the new image runs")
    script(environment, "release", "--revision", first)
    expect(service(environment)[0] == first, "the first one runs again")


def the_roles_again(environment):
    script(environment, "rotate")
    expect(secret(environment, "service")["username"] == "hello_service_2", "the service has the second role")
    expect(secret(environment, "migration")["username"] == "hello_migration_2", "and so have the migrations")


def a_rotation_fails(environment):
    roles_end_with["code"] = 3
    said = script(environment, "rotate", code=1)
    expect('"exitCode":3' in said and secret(environment, "service")["username"] == "hello_service_2", said)


if __name__ == "__main__":
    main()
