# What runs, and with which settings? Three task definitions: the service, the migration that goes before it, and the
# making of the database's roles. Terraform writes them without an image; tools of deploy/aws register each release as a
# revision of its own, with the image by its digest.

data "aws_region" "here" {}
data "aws_caller_identity" "here" {}

locals {
  region  = data.aws_region.here.region
  account = data.aws_caller_identity.here.account_id

  # The load balancer forgets a task before ECS stops it; the delay is for who still holds a connection.
  drain_delay   = 5
  drain_timeout = 20
  # Then ECS kills it. It must be longer than both together.
  stop_timeout = 40

  # A digest that nothing has: what must never be run can't be run by mistake.
  no_image = "${var.repository_url}@sha256:${sha256("put in by the release")}"

  postgres = {
    POSTGRES_HOST     = var.database.host
    POSTGRES_PORT     = "5432"
    POSTGRES_DATABASE = var.database.name
    # The server must prove its name by one of RDS's authorities, which no list of an operating system has. ECS can mount
    # no file, so it is their text.
    POSTGRES_SSLMODE     = "verify-full"
    POSTGRES_SSLROOTCERT = trimspace(var.database.roots)
  }
  service_settings = merge(local.postgres, {
    HELLO_LISTEN         = "0.0.0.0:${local.port}"
    HELLO_METRICS_LISTEN = "0.0.0.0:${local.metrics_port}"
    HELLO_LOG_FORMAT     = "json"
    HELLO_TIME_ZONE      = var.time_zone
    HELLO_LEAP_DAY       = var.leap_day
    HELLO_DRAIN_DELAY    = "${local.drain_delay}s"
    HELLO_DRAIN_TIMEOUT  = "${local.drain_timeout}s"
    HELLO_REQUIRE_AUTH   = tostring(var.ask_for_tokens)
  })
  service_secrets = merge(
    {
      POSTGRES_USERNAME = "${aws_secretsmanager_secret.service.arn}:username::"
      POSTGRES_PASSWORD = "${aws_secretsmanager_secret.service.arn}:password::"
    },
    length(var.database.replica_hosts) == 0 ? {} : {
      DATABASE_REPLICA_URL = "${aws_secretsmanager_secret.service.arn}:replica_url::"
    },
    var.ask_for_tokens ? { HELLO_TOKENS = aws_secretsmanager_secret.tokens[0].arn } : {},
  )

  # What every container of ours has, whatever it does.
  container = {
    essential              = true
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
  }
  # Who reads the log late must not make the service wait.
  log_to = { for task in ["service", "migrate", "roles"] : task => {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.this.name
      awslogs-region        = local.region
      awslogs-stream-prefix = task
      mode                  = "non-blocking"
      max-buffer-size       = "4m"
    }
  } }
  platforms = var.capacity == "ec2" ? ["EC2"] : ["FARGATE"]

  # All that deploy/aws needs to know, so that a release needs no access to Terraform's state. It stands in a label of the task
  # that makes roles, which is found by its name.
  release = {
    cluster             = aws_ecs_cluster.this.name
    service             = var.name
    service_template    = aws_ecs_task_definition.service.arn
    migrate_template    = aws_ecs_task_definition.migrate.arn
    no_image            = local.no_image
    capacity_provider   = local.provider
    subnets             = var.private_subnets
    security_group      = aws_security_group.tasks.id
    tasks_min           = var.tasks_min
    repository          = var.repository_url
    platform            = var.architecture == "ARM64" ? "linux/arm64" : "linux/amd64"
    database_instance   = var.database.instance
    admin_secret        = aws_secretsmanager_secret.admin.name
    service_secret      = aws_secretsmanager_secret.service.name
    migration_secret    = aws_secretsmanager_secret.migration.name
    replicas            = var.database.replica_hosts
    database            = var.database.name
    log_group           = aws_cloudwatch_log_group.this.name
    url                 = "https://${var.domain}"
    reachable_by_anyone = var.public
  }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:see log_days
  name              = "/${var.name}/service"
  retention_in_days = var.log_days
  kms_key_id        = var.key_arn
}

resource "aws_ecs_task_definition" "service" {
  #checkov:skip=CKV_AWS_249:there is one role, the one that starts it: the service asks nothing of AWS
  family                   = var.name
  requires_compatibilities = local.platforms
  network_mode             = "awsvpc"
  cpu                      = var.task_cpu
  memory                   = var.task_memory
  execution_role_arn       = aws_iam_role.start["service"].arn
  track_latest             = false

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([merge(local.container, {
    name         = "service"
    image        = local.no_image
    user         = "65532:65532"
    portMappings = [for port in [local.port, local.metrics_port] : { containerPort = port, hostPort = port, protocol = "tcp" }]
    environment  = [for name, value in local.service_settings : { name = name, value = value }]
    secrets      = [for name, place in local.service_secrets : { name = name, valueFrom = place }]
    stopTimeout  = local.stop_timeout
    # Whether it is alive, as the load balancer asks, too; not whether the database is.
    healthCheck = {
      command     = ["CMD", "/hello-birthday", "healthcheck"]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }
    logConfiguration = local.log_to.service
  })])
}

# Run once before a release, by a role that may alter tables; the service's own may not.
resource "aws_ecs_task_definition" "migrate" {
  #checkov:skip=CKV_AWS_249:as for the service
  family                   = "${var.name}-migrate"
  requires_compatibilities = local.platforms
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.start["migrate"].arn
  track_latest             = false

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([merge(local.container, {
    name        = "migrate"
    image       = local.no_image
    user        = "65532:65532"
    command     = ["migrate"]
    environment = [for name, value in local.postgres : { name = name, value = value }]
    secrets = [
      { name = "POSTGRES_USERNAME", valueFrom = "${aws_secretsmanager_secret.migration.arn}:username::" },
      { name = "POSTGRES_PASSWORD", valueFrom = "${aws_secretsmanager_secret.migration.arn}:password::" },
    ]
    logConfiguration = local.log_to.migrate
  })])
}

# Makes the roles that the two secrets propose, by the database's administrator; run by deploy/aws/rotate.
resource "aws_ecs_task_definition" "roles" {
  #checkov:skip=CKV_AWS_249:as for the service
  family                   = "${var.name}-roles"
  requires_compatibilities = local.platforms
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.start["roles"].arn
  track_latest             = false

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([merge(local.container, {
    name         = "roles"
    image        = var.psql_image
    user         = "65532:65532"
    entryPoint   = ["sh", "-euc"]
    command      = [file("${path.module}/roles.sh")]
    dockerLabels = { release = jsonencode(local.release) }
    environment = [for name, value in {
      PGHOST      = var.database.host
      PGDATABASE  = var.database.name
      PGSSLMODE   = "verify-full"
      AUTHORITIES = trimspace(var.database.roots)
      SQL         = file("${path.module}/roles.sql")
    } : { name = name, value = value }]
    secrets = [
      { name = "PGUSER", valueFrom = "${aws_secretsmanager_secret.admin.arn}:username::" },
      { name = "PGPASSWORD", valueFrom = "${aws_secretsmanager_secret.admin.arn}:password::" },
      { name = "SERVICE_USERNAME", valueFrom = "${aws_secretsmanager_secret.service.arn}:username:AWSPENDING:" },
      { name = "SERVICE_PASSWORD", valueFrom = "${aws_secretsmanager_secret.service.arn}:password:AWSPENDING:" },
      { name = "MIGRATION_USERNAME", valueFrom = "${aws_secretsmanager_secret.migration.arn}:username:AWSPENDING:" },
      { name = "MIGRATION_PASSWORD", valueFrom = "${aws_secretsmanager_secret.migration.arn}:password:AWSPENDING:" },
    ]
    logConfiguration = local.log_to.roles
  })])
}
