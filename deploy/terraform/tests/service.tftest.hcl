# Who is let in, what runs with which rights, and how does one release replace another?

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name            = "hello-birthday"
  vpc_id          = "vpc-1"
  public_subnets  = ["subnet-public-1", "subnet-public-2"]
  private_subnets = ["subnet-private-1", "subnet-private-2"]
  public          = false
  allowed_cidrs   = ["10.20.0.0/16"]
  ask_for_tokens  = false
  domain          = "birthdays.example.org"
  zone_id         = "Z1"
  leads_domain    = true
  certificate_arn = null
  access_log_days = 0
  metrics_readers = []
  repository_url  = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello-birthday"
  repository_arn  = "arn:aws:ecr:eu-west-1:123456789012:repository/hello-birthday"
  psql_image      = "postgres:17"
  capacity        = "fargate"
  machine_type    = "t4g.small"
  architecture    = "ARM64"
  task_cpu        = 256
  task_memory     = 512
  tasks_min       = 2
  tasks_max       = 6
  rollback_alarms = ["hello-birthday-errors"]
  time_zone       = "UTC"
  leap_day        = "feb28"
  log_days        = 30
  protect         = true
  key_arn         = "arn:aws:kms:eu-west-1:123456789012:key/key"
  database = {
    instance       = "hello-birthday"
    host           = "db.example.org"
    name           = "hello"
    replica_hosts  = []
    roots          = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
    security_group = "sg-database"
  }
}

run "internal" {
  module {
    source = "./modules/service"
  }
  override_resource {
    target = aws_secretsmanager_secret.admin
    values = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:admin" }
  }

  # The load balancer.
  assert {
    condition     = aws_lb.this.internal && toset(aws_lb.this.subnets) == toset(var.private_subnets)
    error_message = "it is not on the internet unless that is said"
  }
  assert {
    condition     = toset(values(aws_vpc_security_group_ingress_rule.https)[*].cidr_ipv4) == toset(["10.20.0.0/16"])
    error_message = "it is reached from where it was said"
  }
  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && startswith(aws_lb_listener.https.ssl_policy, "ELBSecurityPolicy-TLS13-1-2-")
    error_message = "TLS 1.2 or 1.3"
  }
  assert {
    condition     = one(aws_lb_listener.http.default_action).type == "redirect" && one(one(aws_lb_listener.http.default_action).redirect).protocol == "HTTPS"
    error_message = "HTTP is sent on to HTTPS"
  }
  assert {
    condition     = one(aws_lb_target_group.tasks.health_check).path == "/-/healthy"
    error_message = "an outage of the database must not replace the tasks"
  }
  assert {
    condition     = aws_lb_target_group.tasks.deregistration_delay == "25" && aws_lb.this.idle_timeout < 75
    error_message = "what is in flight is waited for, and connections are let go of before the service does so"
  }
  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.desync_mitigation_mode == "strictest"
    error_message = "what could be read in two ways is refused"
  }
  assert {
    condition     = length(aws_s3_bucket.access_logs) == 0
    error_message = "nobody's name is logged unless that is said"
  }

  # The tasks.
  assert {
    condition     = one(aws_ecs_service.this.network_configuration).assign_public_ip == false && toset(one(aws_ecs_service.this.network_configuration).subnets) == toset(var.private_subnets)
    error_message = "tasks are private"
  }
  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 100 && aws_ecs_service.this.deployment_maximum_percent == 200
    error_message = "no task is stopped before another one has taken its place"
  }
  assert {
    condition     = one(aws_ecs_service.this.deployment_circuit_breaker).enable && one(aws_ecs_service.this.deployment_circuit_breaker).rollback
    error_message = "a release that doesn't come up is taken back"
  }
  assert {
    condition     = one(aws_ecs_service.this.alarms).rollback && toset(one(aws_ecs_service.this.alarms).alarm_names) == toset(["hello-birthday-errors"])
    error_message = "a release that answers with errors is taken back"
  }
  assert {
    condition     = one(aws_appautoscaling_policy.processor.target_tracking_scaling_policy_configuration).target_value == 50
    error_message = "there are more tasks from half of their processors on"
  }
  assert {
    condition     = aws_ecs_service.this.desired_count == 0 && aws_appautoscaling_target.tasks.min_capacity == 0
    error_message = "before the first release there is no image, and no task that would look for it"
  }
  assert {
    condition = alltrue([for task in [aws_ecs_task_definition.service, aws_ecs_task_definition.migrate, aws_ecs_task_definition.roles] :
      jsondecode(task.container_definitions)[0].readonlyRootFilesystem
      && jsondecode(task.container_definitions)[0].user == "65532:65532"
      && jsondecode(task.container_definitions)[0].linuxParameters.capabilities.drop == ["ALL"]
    ])
    error_message = "no task can write to its own files, and none is root"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.service.container_definitions)[0].healthCheck.command == ["CMD", "/hello-birthday", "healthcheck"]
    error_message = "the binary asks itself"
  }
  assert {
    condition = (
      jsondecode(aws_ecs_task_definition.service.container_definitions)[0].stopTimeout > sum([
        for setting in jsondecode(aws_ecs_task_definition.service.container_definitions)[0].environment :
        tonumber(trimsuffix(setting.value, "s")) if startswith(setting.name, "HELLO_DRAIN_")
      ])
    )
    error_message = "it is killed only after the drain"
  }
  assert {
    condition = alltrue([for task in [aws_ecs_task_definition.service, aws_ecs_task_definition.migrate] : contains(
      jsondecode(task.container_definitions)[0].environment, { name = "POSTGRES_SSLMODE", value = "verify-full" }
    )])
    error_message = "the database must prove its name"
  }
  assert {
    condition = alltrue(flatten([for task in [aws_ecs_task_definition.service, aws_ecs_task_definition.migrate, aws_ecs_task_definition.roles] : [
      for setting in jsondecode(task.container_definitions)[0].environment : !strcontains(setting.name, "PASSWORD") && !strcontains(setting.name, "TOKENS")
    ]]))
    error_message = "no secret is a setting"
  }
  assert {
    condition     = aws_ecs_task_definition.service.task_role_arn == null
    error_message = "the service asks nothing of AWS"
  }
  assert {
    condition = (jsondecode(jsondecode(aws_ecs_task_definition.roles.container_definitions)[0].dockerLabels.release).repository
    == var.repository_url)
    error_message = "the task that makes roles says what a release needs to know"
  }
  assert {
    condition     = [for task, policy in aws_iam_role_policy.start : task if strcontains(policy.policy, aws_secretsmanager_secret.admin.arn)] == ["roles"]
    error_message = "only who makes roles reads the administrator's password"
  }
  assert {
    condition = alltrue([for statement in flatten([for policy in aws_iam_role_policy.start : jsondecode(policy.policy).Statement]) :
      statement.Resource != "*" || statement.Action == "ecr:GetAuthorizationToken"
    ])
    error_message = "no right is wider than AWS makes it"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.requests.referenced_security_group_id == aws_security_group.load_balancer.id && length(aws_vpc_security_group_ingress_rule.metrics) == 0
    error_message = "only the load balancer reaches the tasks"
  }
}

run "public" {
  module {
    source = "./modules/service"
  }
  variables {
    public          = true
    ask_for_tokens  = true
    allowed_cidrs   = ["0.0.0.0/0"]
    access_log_days = 7
  }

  assert {
    condition     = !aws_lb.this.internal && toset(aws_lb.this.subnets) == toset(var.public_subnets)
    error_message = "it is on the internet"
  }
  assert {
    condition     = toset(one(aws_ecs_service.this.network_configuration).subnets) == toset(var.private_subnets)
    error_message = "the tasks are not"
  }
  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.service.container_definitions)[0].secrets[*].name, "HELLO_TOKENS")
    error_message = "the service gets its tokens"
  }
  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.service.container_definitions)[0].environment, { name = "HELLO_REQUIRE_AUTH", value = "true" })
    error_message = "it doesn't start without tokens"
  }
  assert {
    condition     = one(one(aws_s3_bucket_lifecycle_configuration.access_logs[0].rule).expiration).days == 7 && aws_s3_bucket_public_access_block.access_logs[0].restrict_public_buckets
    error_message = "the load balancer's log is forgotten in time, and nobody's meanwhile"
  }
}

run "in_another_region" {
  module {
    source = "./modules/service"
  }
  override_data {
    target = data.aws_region.here
    values = { region = "eu-central-1" }
  }
  variables {
    leads_domain = false
    psql_image   = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/public/postgres:17"
  }

  assert {
    condition     = alltrue([for task, role in aws_iam_role.start : role.name == "hello-birthday-eu-central-1-start-${task}"])
    error_message = "the whole account sees the names of roles"
  }
  assert {
    condition     = length(aws_route53_record.service) == 0 && length(aws_acm_certificate.this) == 1
    error_message = "the domain is led elsewhere, and the certificate is there for when it is not"
  }
  assert {
    condition     = strcontains(aws_iam_role_policy.start["roles"].policy, "arn:aws:ecr:eu-central-1:123456789012:repository/public/postgres\"")
    error_message = "psql is fetched from the repository where it is"
  }
}

run "with_replicas" {
  module {
    source = "./modules/service"
  }
  variables {
    database = {
      instance       = "hello-birthday"
      host           = "db.example.org"
      name           = "hello"
      replica_hosts  = ["replica.example.org"]
      roots          = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
      security_group = "sg-database"
    }
  }

  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.service.container_definitions)[0].secrets[*].name, "DATABASE_REPLICA_URL")
    error_message = "reads may go to the replica"
  }
}

run "on_machines" {
  module {
    source = "./modules/service"
  }
  variables {
    capacity = "ec2"
  }

  assert {
    condition     = one(aws_ecs_service.this.capacity_provider_strategy).capacity_provider == aws_ecs_capacity_provider.machines[0].name
    error_message = "tasks run on the machines"
  }
  assert {
    condition     = one(one(aws_ecs_capacity_provider.machines[0].auto_scaling_group_provider).managed_scaling).status == "ENABLED"
    error_message = "ECS adds machines as tasks need them"
  }
  assert {
    condition     = one(aws_launch_template.machines[0].metadata_options).http_tokens == "required" && one(aws_launch_template.machines[0].metadata_options).http_put_response_hop_limit == 1
    error_message = "a container can't take the machine's rights"
  }
  assert {
    condition     = one(one(aws_launch_template.machines[0].block_device_mappings).ebs).encrypted
    error_message = "their disks are encrypted"
  }
  assert {
    condition     = toset(aws_autoscaling_group.machines[0].vpc_zone_identifier) == toset(var.private_subnets)
    error_message = "machines are private"
  }
  assert {
    condition     = aws_autoscaling_group.machines[0].force_delete
    error_message = "they don't keep the group from being deleted"
  }
}
