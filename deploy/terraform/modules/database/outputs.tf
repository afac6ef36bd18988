output "host" {
  description = "The primary, whichever instance that is"
  value       = aws_db_instance.primary.address
}

output "replica_hosts" {
  description = "The replicas"
  value       = aws_db_instance.replica[*].address
}

output "database" {
  description = "The database's name"
  value       = local.database
}

output "primary" {
  description = "The primary's identifier"
  value       = aws_db_instance.primary.identifier
}

output "replicas" {
  description = "The replicas' identifiers"
  value       = aws_db_instance.replica[*].identifier
}

output "security_group" {
  description = "The database's"
  value       = aws_security_group.database.id
}
