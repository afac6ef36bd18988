output "url" {
  description = "Where the service is found"
  value       = module.hello_birthday.url
}

output "load_balancer" {
  description = "What the domain must lead to, where it is made elsewhere"
  value       = module.hello_birthday.load_balancer
}

output "dashboard" {
  description = "The name of the page in CloudWatch"
  value       = module.hello_birthday.dashboard
}

output "release_role" {
  description = "The role of the pipeline that makes releases"
  value       = module.hello_birthday.release_role
}
