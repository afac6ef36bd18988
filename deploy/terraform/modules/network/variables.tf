variable "name" {
  description = "What everything's name begins with"
  type        = string
}

variable "cidr" {
  description = "The VPC's addresses"
  type        = string
}

variable "zones" {
  description = "How many availability zones"
  type        = number
}

variable "nat" {
  description = "none, one, or per_zone"
  type        = string
}

variable "private_endpoints" {
  description = "Whether ECR, CloudWatch Logs and Secrets Manager are reached without leaving the VPC"
  type        = bool
}

variable "machines" {
  description = "Whether tasks run on machines in the private subnets, which ask for endpoints of their own"
  type        = bool
}

variable "log_days" {
  description = "How long the log of refused packets is kept"
  type        = number
}

variable "key_arn" {
  description = "The key that encrypts that log"
  type        = string
}
