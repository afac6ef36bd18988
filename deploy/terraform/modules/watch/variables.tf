variable "name" {
  description = "What everything's name begins with"
  type        = string
}

variable "emails" {
  description = "Who gets the alarms; each must confirm it"
  type        = list(string)
}

variable "metrics" {
  description = "By which CloudWatch knows the load balancer and the tasks"
  type = object({
    load_balancer = string
    target_group  = string
    cluster       = string
    service       = string
  })
}

variable "database" {
  description = "The instances, the primary's first size in GiB, and how many connections are usual"
  type = object({
    primary     = string
    replicas    = list(string)
    storage     = number
    connections = number
  })
}

variable "key_arn" {
  description = "The key that encrypts what the topic holds"
  type        = string
}
