output "url" {
  description = "Where images are pushed"
  value       = aws_ecr_repository.this.repository_url
}

output "arn" {
  description = "The repository"
  value       = aws_ecr_repository.this.arn
}
