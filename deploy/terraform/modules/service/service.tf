# How many tasks run, where, and how is one release replaced by the next? The new ones stand beside the old ones until they
# are healthy; if they don't get there, ECS goes back by itself.

locals {
  metrics_port = 9090
  # The tasks' capacity: ECS's own, or the machines of capacity.tf.
  provider = var.capacity == "ec2" ? aws_ecs_capacity_provider.machines[0].name : "FARGATE"
}

resource "aws_ecs_cluster" "this" {
  #checkov:skip=CKV_AWS_65:processor, memory and counts of tasks are there without Container Insights, which costs as much as a task
  name = var.name
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = [local.provider]

  default_capacity_provider_strategy {
    capacity_provider = local.provider
    weight            = 1
  }
}

resource "aws_security_group" "tasks" {
  name        = "${var.name}-tasks"
  description = "Requests from the load balancer; the database, and the endpoints of AWS"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "requests" {
  security_group_id            = aws_security_group.tasks.id
  description                  = "Requests"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  referenced_security_group_id = aws_security_group.load_balancer.id
}

resource "aws_vpc_security_group_ingress_rule" "metrics" {
  for_each                     = toset(var.metrics_readers)
  security_group_id            = aws_security_group.tasks.id
  description                  = "Metrics, which ask for no token here"
  ip_protocol                  = "tcp"
  from_port                    = local.metrics_port
  to_port                      = local.metrics_port
  referenced_security_group_id = each.key
}

resource "aws_vpc_security_group_egress_rule" "database" {
  security_group_id            = aws_security_group.tasks.id
  description                  = "The database"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = var.database.security_group
}

# ECR, S3, CloudWatch Logs and Secrets Manager have no addresses that could be named.
resource "aws_vpc_security_group_egress_rule" "aws" {
  security_group_id = aws_security_group.tasks.id
  description       = "HTTPS, to the endpoints of AWS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_ecs_service" "this" {
  #checkov:skip=CKV_AWS_332:the platform's version is the latest unless it is named
  name            = var.name
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.service.arn
  # The first release starts the first tasks: before it there is no image, no role and no table. So scaling begins with none.
  desired_count = 0

  capacity_provider_strategy {
    capacity_provider = local.provider
    weight            = 1
  }

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  availability_zone_rebalancing      = "ENABLED"

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  # Errors that a health check doesn't see end a release, too.
  alarms {
    enable      = true
    rollback    = true
    alarm_names = var.rollback_alarms
  }

  network_configuration {
    subnets          = var.private_subnets
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.tasks.arn
    container_name   = "service"
    container_port   = local.port
  }
  health_check_grace_period_seconds = 30

  enable_ecs_managed_tags = true
  propagate_tags          = "SERVICE"

  # Which release runs is decided by deploy/aws/release, and how many tasks by scaling.tf.
  lifecycle {
    ignore_changes = [task_definition, desired_count]
  }

  depends_on = [aws_lb_listener.https, aws_ecs_cluster_capacity_providers.this]
}
