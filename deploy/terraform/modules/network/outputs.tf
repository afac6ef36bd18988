output "vpc_id" {
  description = "The VPC"
  value       = aws_vpc.this.id
}

output "public_subnets" {
  description = "Where a public load balancer stands"
  value       = [for subnet in aws_subnet.public : subnet.id]
}

output "private_subnets" {
  description = "Where tasks run"
  value       = [for subnet in aws_subnet.private : subnet.id]
}

output "database_subnets" {
  description = "Where the database is"
  value       = [for subnet in aws_subnet.database : subnet.id]
}
