variable "name" {
  description = "What everything's name begins with"
  type        = string
}

variable "vpc_id" {
  description = "The VPC"
  type        = string
}

variable "subnets" {
  description = "Subnets in at least two zones, without a way out"
  type        = list(string)
}

variable "client_security_group" {
  description = "Who may connect"
  type        = string
}

variable "class" {
  description = "The instances' class"
  type        = string
}

variable "storage" {
  description = "GiB to begin with; it grows by itself to five times that"
  type        = number
}

variable "multi_az" {
  description = "Whether a standby in another zone has every change before it is acknowledged"
  type        = bool
}

variable "replicas" {
  description = "Read replicas"
  type        = number
}

variable "backup_days" {
  description = "How many days back the database can be restored"
  type        = number
}

variable "copy_backups_to" {
  description = "Another region that has the backups, too; null for none"
  type        = string
}

variable "restore" {
  description = "What to make the primary from, when it is made: an instance or backups, at a moment; null for nothing"
  type = object({
    instance    = optional(string)
    backups_arn = optional(string)
    time        = optional(string)
  })
}

variable "protect" {
  description = "Whether it can be deleted only after this was taken back: then nothing of it is left, so take a snapshot before"
  type        = bool
}

variable "log_days" {
  description = "How long its log is kept"
  type        = number
}

variable "key_arn" {
  description = "The key that encrypts it"
  type        = string
}
