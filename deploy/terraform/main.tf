# The whole of it, put together. examples/ shows how it is used; docs/aws.md tells step by step.

data "aws_caller_identity" "here" {}
data "aws_region" "here" {}

locals {
  account        = data.aws_caller_identity.here.account_id
  region         = data.aws_region.here.region
  ask_for_tokens = coalesce(var.ask_for_tokens, var.public)
  # Two for each task, twice as many tasks during a release, and some for migrations and whoever looks. A task may have up to
  # eight more whose change it gave up waiting for: that is worth an alarm.
  connections = var.tasks_max * 2 * 2 + 20
}

module "network" {
  source            = "./modules/network"
  name              = var.name
  cidr              = var.cidr
  zones             = var.zones
  nat               = var.nat
  private_endpoints = var.private_endpoints
  machines          = var.capacity == "ec2"
  log_days          = var.log_days
  key_arn           = aws_kms_key.this.arn
}

module "registry" {
  source  = "./modules/registry"
  name    = var.name
  protect = var.protect
  key_arn = aws_kms_key.this.arn
}

module "database" {
  source                = "./modules/database"
  name                  = var.name
  vpc_id                = module.network.vpc_id
  subnets               = module.network.database_subnets
  client_security_group = module.service.security_group
  class                 = var.database_class
  storage               = var.database_storage
  multi_az              = var.database_multi_az
  replicas              = var.database_replicas
  backup_days           = var.backup_days
  copy_backups_to       = var.copy_backups_to
  restore               = var.restore
  protect               = var.protect
  log_days              = var.log_days
  key_arn               = aws_kms_key.this.arn
}

module "service" {
  source          = "./modules/service"
  name            = var.name
  vpc_id          = module.network.vpc_id
  public_subnets  = module.network.public_subnets
  private_subnets = module.network.private_subnets
  public          = var.public
  allowed_cidrs   = var.allowed_cidrs != null ? var.allowed_cidrs : [var.public ? "0.0.0.0/0" : var.cidr]
  ask_for_tokens  = local.ask_for_tokens
  domain          = var.domain
  zone_id         = var.zone_id
  leads_domain    = var.leads_domain
  certificate_arn = var.certificate_arn
  access_log_days = var.access_log_days
  metrics_readers = var.metrics_readers
  repository_url  = module.registry.url
  repository_arn  = module.registry.arn
  psql_image      = var.psql_image
  capacity        = var.capacity
  machine_type    = var.machine_type
  architecture    = var.architecture
  task_cpu        = var.task_cpu
  task_memory     = var.task_memory
  tasks_min       = var.tasks_min
  tasks_max       = var.tasks_max
  rollback_alarms = ["${var.name}-errors"]
  time_zone       = var.time_zone
  leap_day        = var.leap_day
  log_days        = var.log_days
  protect         = var.protect
  key_arn         = aws_kms_key.this.arn
  database = {
    instance       = module.database.primary
    host           = module.database.host
    name           = module.database.database
    replica_hosts  = module.database.replica_hosts
    roots          = file(var.database_roots_file)
    security_group = module.database.security_group
  }
}

module "watch" {
  source  = "./modules/watch"
  name    = var.name
  emails  = var.alarm_emails
  metrics = module.service.metrics
  database = {
    primary     = module.database.primary
    replicas    = module.database.replicas
    storage     = var.database_storage
    connections = local.connections
  }
  key_arn = aws_kms_key.this.arn
}
