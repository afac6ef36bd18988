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
  description = "All that a release needs to know, as the task that makes roles tells it"
  value       = local.release
}
