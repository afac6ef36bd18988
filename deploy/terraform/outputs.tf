output "url" {
  description = "Where the service is found"
  value       = "https://${var.domain}"
}

output "load_balancer" {
  description = "What the domain must lead to, where it is made elsewhere"
  value       = module.service.load_balancer
}

output "load_balancer_arn" {
  description = "For a web ACL"
  value       = module.service.load_balancer_arn
}

output "repository" {
  description = "Where images are pushed"
  value       = module.registry.url
}

output "database_host" {
  description = "The database's primary, whichever instance that is"
  value       = module.database.host
}

output "vpc_id" {
  description = "The VPC, for a peering or a VPN"
  value       = module.network.vpc_id
}

output "secrets" {
  description = "The secrets' ARNs"
  value       = module.service.secrets
}

output "alarms_topic" {
  description = "Where alarms go"
  value       = module.watch.topic_arn
}

output "dashboard" {
  description = "The name of the page in CloudWatch"
  value       = module.watch.dashboard
}

output "release_role" {
  description = "The role of the pipeline that makes releases"
  value       = one(aws_iam_role.release[*].arn)
}
