variable "region" {
  description = "AWS's region"
  type        = string
  default     = "eu-west-1"
}

variable "name" {
  description = "What everything's name begins with"
  type        = string
  default     = "hello-birthday"
}

variable "domain" {
  description = "The name by which callers find the service"
  type        = string
}

variable "zone_id" {
  description = "The zone of Route 53 in which that name is made"
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "A certificate of that name, where the name is made elsewhere"
  type        = string
  default     = null
}

variable "alarm_emails" {
  description = "Who gets the alarms"
  type        = list(string)
  default     = []
}

variable "protect" {
  description = "Whether the data can't be deleted at once; false for trying out"
  type        = bool
  default     = true
}

variable "architecture" {
  description = "The tasks' processors: ARM64 or X86_64"
  type        = string
  default     = "ARM64"
}

variable "leads_domain" {
  description = "Whether the domain is led here; false while another region has it"
  type        = bool
  default     = true
}

variable "restore" {
  description = "What the database is made from, when it is made (docs/aws.md)"
  type = object({
    instance    = optional(string)
    backups_arn = optional(string)
    time        = optional(string)
  })
  default = null
}

variable "copy_backups_to" {
  description = "Another region that has the backups, too; null for none"
  type        = string
  default     = "eu-central-1"
}

variable "releasers" {
  description = "The pipeline that may make releases"
  type = object({
    provider_arn = string
    audience     = optional(string, "sts.amazonaws.com")
    subjects     = list(string)
  })
  default = null
}
