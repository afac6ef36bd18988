"""What does the deployment look like? Draws the pictures of docs/diagrams.

    draw.py FOLDER    draws them there

The names in the picture of AWS are those of resources of Terraform: draw_test.py compares them.
"""
import sys
from pathlib import Path

from diagrams import Cluster, Diagram, Edge, Node
from diagrams.aws.compute import ECR, ApplicationAutoScaling, EC2AutoScaling, ElasticContainerServiceService
from diagrams.aws.database import RDSPostgresqlInstance
from diagrams.aws.general import Users
from diagrams.aws.management import CloudwatchAlarm, CloudwatchLogs
from diagrams.aws.network import ALB, Endpoint, InternetGateway, NATGateway, Route53
from diagrams.aws.security import KMS, CertificateManager, SecretsManager
from diagrams.k8s.clusterconfig import HPA
from diagrams.k8s.compute import Job, Pod
from diagrams.k8s.network import Ingress, Service
from diagrams.k8s.podconfig import Secret
from diagrams.onprem.client import Client
from diagrams.onprem.database import PostgreSQL

# What is drawn of AWS, by the resource that makes it.
AWS = {
    "aws_acm_certificate": "certificate",
    "aws_appautoscaling_target": "scaling",
    "aws_autoscaling_group": "machines",
    "aws_cloudwatch_log_group": "logs",
    "aws_cloudwatch_metric_alarm": "alarms",
    "aws_db_instance": "primary",
    "aws_ecr_repository": "images",
    "aws_ecs_service": "service",
    "aws_internet_gateway": "internet gateway",
    "aws_kms_key": "key",
    "aws_lb": "load balancer",
    "aws_nat_gateway": "NAT",
    "aws_route53_record": "domain",
    "aws_secretsmanager_secret": "secrets",
    "aws_subnet": "subnets",
    "aws_vpc": "VPC",
    "aws_vpc_endpoint": "endpoints",
}
GRAPH = {"compound": "true", "splines": "spline", "fontsize": "22", "pad": "0.3", "nodesep": "0.7", "ranksep": "1.1", "bgcolor": "white", "dpi": "70"}
NODE = {"fontsize": "15"}
ARROW = {"fontsize": "14"}


def cluster(label):
    return Cluster(label, graph_attr={"margin": "26", "fontsize": "15"})


def main(folder):
    for draw in (aws, kubernetes, a_put, a_get, failover):
        path = folder / draw.__name__.replace("_", "-")
        with Diagram("", filename=str(path), outformat="png", show=False, graph_attr=GRAPH, node_attr=NODE, edge_attr=ARROW):
            draw()


def aws():
    users = Users("callers")
    with cluster(AWS["aws_vpc"]):
        gateway = InternetGateway(AWS["aws_internet_gateway"])
        with cluster(f"public {AWS['aws_subnet']}"):
            balancer = ALB(AWS["aws_lb"])
            nat = NATGateway(AWS["aws_nat_gateway"])
        with cluster(f"private {AWS['aws_subnet']}, two or three zones"):
            machines = EC2AutoScaling(f"{AWS['aws_autoscaling_group']}, unless Fargate")
            scaling = ApplicationAutoScaling(AWS["aws_appautoscaling_target"])
            service = ElasticContainerServiceService(f"{AWS['aws_ecs_service']}, two tasks at least")
            endpoints = Endpoint(AWS["aws_vpc_endpoint"])
        with cluster(f"database {AWS['aws_subnet']}, no way out"):
            primary = RDSPostgresqlInstance(AWS["aws_db_instance"])
            standby = RDSPostgresqlInstance("standby")
            replica = RDSPostgresqlInstance("replica")
    with cluster("of the region"):
        domain = Route53(AWS["aws_route53_record"])
        certificate = CertificateManager(AWS["aws_acm_certificate"])
        images = ECR(AWS["aws_ecr_repository"])
        secrets = SecretsManager(AWS["aws_secretsmanager_secret"])
        key = KMS(AWS["aws_kms_key"])
        logs = CloudwatchLogs(AWS["aws_cloudwatch_log_group"])
        alarms = CloudwatchAlarm(AWS["aws_cloudwatch_metric_alarm"])
    users >> Edge(label="HTTPS") >> gateway >> balancer
    balancer >> Edge(label="HTTP") >> service
    service >> Edge(label="TLS") >> primary >> Edge(label="each commit") >> standby
    service >> Edge(label="reads") >> replica
    service >> nat
    # One below the other.
    balancer >> Edge(style="invis") >> [machines, scaling]
    scaling >> Edge(style="dashed", constraint="false") >> service
    service >> Edge(constraint="false") >> endpoints
    nat >> Edge(style="invis") >> endpoints
    nat >> Edge(lhead="cluster_of the region") >> images
    endpoints >> Edge(lhead="cluster_of the region") >> secrets
    # One beside the other, below the network.
    strip = [domain, certificate, images, secrets, key, logs, alarms]
    for left, right in zip(strip, strip[1:]):
        left >> Edge(style="invis") >> right


def kubernetes():
    callers = Client("callers")
    with cluster("namespace"):
        ingress = Ingress("ingress")
        service = Service("service")
        scaler = HPA("50 % processor")
        secret = Secret("password, tokens")
        with cluster("deployment"):
            pods = [Pod(f"pod {number}") for number in (1, 2, 3)]
        migrate = Job("migrate,\nbefore each release")
    database = PostgreSQL("PostgreSQL")
    callers >> Edge(label="HTTPS") >> ingress >> service >> Edge(lhead="cluster_deployment") >> pods[0]
    scaler >> Edge(style="dashed", lhead="cluster_deployment") >> pods[1]
    secret >> Edge(style="dashed", lhead="cluster_deployment") >> pods[2]
    secret >> Edge(style="dashed") >> migrate
    pods[0] >> Edge(ltail="cluster_deployment") >> database
    migrate >> database


def step(label):
    return Node(label, shape="box", style="rounded", labelloc="c", width="3", height="0.9")


def a_put():
    caller = Client("PUT /hello/Anna")
    with cluster("one instance"):
        gate = step("gate:\nhead, token, length")
        handler = step("handler:\nname, date, today")
        lane = step("lane: what waits\nbecomes one batch")
        writer = step("writer:\none transaction")
    store = PostgreSQL("store")
    caller >> gate >> handler >> lane >> writer >> Edge(label="forced to disk") >> store >> step("then 204")


def a_get():
    caller = Client("GET /hello/Anna")
    with cluster("one instance"):
        gate = step("gate:\nhead, token")
        handler = step("handler:\nname, zone, today")
        almanac = step("almanac:\ndays until")
    replica = PostgreSQL("replica, if it is\nat most a second behind")
    primary = PostgreSQL("primary, if not")
    caller >> gate >> handler >> almanac
    handler >> Edge(forward=True, reverse=True) >> replica
    handler >> Edge(forward=True, reverse=True) >> primary


def failover():
    callers = Client("callers")
    with cluster("instances"):
        instances = [step("instance 1"), step("instance 2")]
    with cluster("zone a"):
        lost = PostgreSQL("primary, lost")
    with cluster("zone b"):
        promoted = PostgreSQL("standby, promoted")
    callers >> Edge(label="503 not_applied or unknown,\nuntil then") >> instances[0]
    callers >> instances[1]
    instances[0] >> Edge(style="dashed", color="firebrick", label="left at once") >> lost
    instances[1] >> Edge(label="found by themselves") >> promoted
    lost >> Edge(style="dotted", label="until then, each commit") >> promoted


if __name__ == "__main__":
    main(Path(sys.argv[1]))
