output "topic_arn" {
  description = "Where alarms go"
  value       = aws_sns_topic.alarms.arn
}

output "dashboard" {
  description = "The page's name"
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
