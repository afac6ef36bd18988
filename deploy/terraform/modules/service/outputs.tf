output "security_group" {
  description = "The tasks'"
  value       = aws_security_group.tasks.id
}

output "load_balancer" {
  description = "Its address"
  value       = aws_lb.this.dns_name
}

output "load_balancer_arn" {
  description = "For a web ACL"
  value       = aws_lb.this.arn
}

output "metrics" {
  description = "By which CloudWatch knows the load balancer and the tasks"
  value = {
    load_balancer = aws_lb.this.arn_suffix
    target_group  = aws_lb_target_group.tasks.arn_suffix
    cluster       = aws_ecs_cluster.this.name
    service       = aws_ecs_service.this.name
  }
}

output "release_roles" {
  description = "Those by which a release's tasks are started: not the one that reads the administrator's password"
  value       = [aws_iam_role.start["service"].arn, aws_iam_role.start["migrate"].arn]
}

output "secrets" {
  description = "The secrets"
  value = {
    service   = aws_secretsmanager_secret.service.arn
    migration = aws_secretsmanager_secret.migration.arn
    tokens    = one(aws_secretsmanager_secret.tokens[*].arn)
  }
}

output "release" {
  description = "All that a release needs to know"
  value = {
    cluster             = aws_ecs_cluster.this.name
    service             = aws_ecs_service.this.name
    service_template    = aws_ecs_task_definition.service.arn
    migrate_template    = aws_ecs_task_definition.migrate.arn
    no_image            = local.no_image
    roles_template      = aws_ecs_task_definition.roles.arn
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
