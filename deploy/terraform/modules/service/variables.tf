variable "name" {
  description = "What everything's name begins with"
  type        = string
}

variable "vpc_id" {
  description = "The VPC"
  type        = string
}

variable "public_subnets" {
  description = "Where a public load balancer stands"
  type        = list(string)
}

variable "private_subnets" {
  description = "Where the tasks run, and an internal load balancer stands"
  type        = list(string)
}

variable "public" {
  description = "Whether the internet can reach the load balancer"
  type        = bool
}

variable "allowed_cidrs" {
  description = "From where the load balancer can be reached"
  type        = list(string)
}

variable "ask_for_tokens" {
  description = "Whether callers need an access token"
  type        = bool
}

variable "domain" {
  description = "The name by which callers find it"
  type        = string
}

variable "zone_id" {
  description = "The zone of Route 53 in which that name is made; null if it is made elsewhere"
  type        = string
}

variable "leads_domain" {
  description = "Whether that name is made"
  type        = bool
}

variable "certificate_arn" {
  description = "The certificate of that name; null if one is to be made"
  type        = string
}

variable "access_log_days" {
  description = "How long the load balancer's log is kept; 0 for none"
  type        = number
}

variable "metrics_readers" {
  description = "Security groups that may read metrics"
  type        = list(string)
}

variable "repository_url" {
  description = "Where the images are"
  type        = string
}

variable "repository_arn" {
  description = "The same as an ARN"
  type        = string
}

variable "psql_image" {
  description = "An image with psql, for the task that makes the database's roles"
  type        = string
}

variable "capacity" {
  description = "fargate or ec2"
  type        = string
}

variable "machine_type" {
  description = "The machines' type, with ec2"
  type        = string
}

variable "architecture" {
  description = "X86_64 or ARM64"
  type        = string
}

variable "task_cpu" {
  description = "Of 1024 units a processor"
  type        = number
}

variable "task_memory" {
  description = "MiB"
  type        = number
}

variable "tasks_min" {
  description = "The fewest tasks"
  type        = number
}

variable "tasks_max" {
  description = "The most tasks"
  type        = number
}

variable "rollback_alarms" {
  description = "Alarms that end a release"
  type        = list(string)
}

variable "time_zone" {
  description = "The zone whose today it is"
  type        = string
}

variable "leap_day" {
  description = "29 February in common years: feb28 or mar1"
  type        = string
}

variable "database" {
  description = "Where the data is"
  type = object({
    instance       = string
    host           = string
    name           = string
    replica_hosts  = list(string)
    roots          = string
    security_group = string
  })
}

variable "log_days" {
  description = "How long the service's log is kept"
  type        = number
}

variable "protect" {
  description = "Whether what would be missed can't be deleted at once"
  type        = bool
}

variable "key_arn" {
  description = "The key that encrypts secrets and logs"
  type        = string
}
