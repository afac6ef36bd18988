variable "name" {
  description = "What everything's name begins with; one for each installation of an account and region"
  type        = string
  default     = "hello-birthday"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: 3 to 24 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "domain" {
  description = "The name by which callers find the service, such as birthdays.example.org"
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.domain))
    error_message = "domain: a name such as birthdays.example.org."
  }
}

variable "zone_id" {
  description = "The zone of Route 53 in which that name and its certificate are made"
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "A certificate of that name, where the name is made elsewhere; instead of zone_id"
  type        = string
  default     = null

  validation {
    condition     = (var.certificate_arn == null) != (var.zone_id == null)
    error_message = "certificate_arn: set it or zone_id, one of the two."
  }
}

variable "leads_domain" {
  description = "Whether the domain is led here; `false` while another region has it"
  type        = bool
  default     = true
}

variable "database_roots_file" {
  description = "RDS's certificate authorities of the region, in PEM: `make aws-roots` fetches them"
  type        = string

  validation {
    condition     = try(startswith(trimspace(file(var.database_roots_file)), "-----BEGIN CERTIFICATE-----"), false)
    error_message = "database_roots_file: a PEM file of certificates; `make aws-roots` fetches it."
  }
}

variable "public" {
  description = "Whether the internet can reach it; then callers need access tokens"
  type        = bool
  default     = false
}

variable "ask_for_tokens" {
  description = "Whether callers need access tokens; if not said, as public is"
  type        = bool
  default     = null

  validation {
    condition     = !var.public || var.ask_for_tokens != false
    error_message = "ask_for_tokens: on the internet everybody could read and change what is kept; leave it out, or set public = false."
  }
}

variable "allowed_cidrs" {
  description = "From where the load balancer can be reached; if not said, the VPC, or with public everywhere"
  type        = list(string)
  default     = null

  validation {
    condition     = var.allowed_cidrs == null || alltrue([for cidr in coalesce(var.allowed_cidrs, []) : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs: ranges of IPv4 such as 192.0.2.0/24."
  }
}

variable "cidr" {
  description = "The VPC's addresses, a /16"
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 10)) && endswith(var.cidr, "/16")
    error_message = "cidr: a range of IPv4 that ends in /16."
  }
}

variable "zones" {
  description = "How many availability zones: 2 or 3"
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.zones)
    error_message = "zones: 2 or 3."
  }
}

variable "nat" {
  description = "How the tasks get out: by `one` NAT gateway, one `per_zone`, or `none` (then private_endpoints, and psql_image in ECR)"
  type        = string
  default     = "one"

  validation {
    condition     = contains(["none", "one", "per_zone"], var.nat)
    error_message = "nat: none, one or per_zone."
  }
  validation {
    condition     = var.nat != "none" || var.private_endpoints
    error_message = "nat: without a way out, tasks need private_endpoints = true to be started."
  }
}

variable "private_endpoints" {
  description = "Whether ECR, CloudWatch Logs and Secrets Manager are reached without leaving the VPC"
  type        = bool
  default     = false
}

variable "capacity" {
  description = "Where tasks run: `fargate`, or `ec2` on machines that an autoscaling group adds and takes away"
  type        = string
  default     = "fargate"

  validation {
    condition     = contains(["fargate", "ec2"], var.capacity)
    error_message = "capacity: fargate or ec2."
  }
}

variable "machine_type" {
  description = "The machines' type, with ec2; of the same architecture"
  type        = string
  default     = "t4g.small"
}

variable "architecture" {
  description = "The tasks' processors: `ARM64` (Graviton, cheaper) or `X86_64`"
  type        = string
  default     = "ARM64"

  validation {
    condition     = contains(["ARM64", "X86_64"], var.architecture)
    error_message = "architecture: ARM64 or X86_64."
  }
}

variable "task_cpu" {
  description = "A task's share of a processor, in 1024ths"
  type        = number
  default     = 256

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.task_cpu)
    error_message = "task_cpu: 256, 512, 1024, 2048 or 4096."
  }
}

variable "task_memory" {
  description = "A task's memory in MiB"
  type        = number
  default     = 512

  validation {
    condition = contains(
      var.task_cpu == 256 ? [512, 1024, 2048] : range(2 * var.task_cpu, min(8 * var.task_cpu, 30720) + 1, 1024),
      var.task_memory,
    )
    error_message = "task_memory: as Fargate has it: with a task_cpu of 256 512, 1024 or 2048, else whole GiB from twice to eight times task_cpu, at most 30720."
  }
}

variable "tasks_min" {
  description = "The fewest tasks; two, for one may be lost with its zone"
  type        = number
  default     = 2

  validation {
    condition     = var.tasks_min >= 1 && var.tasks_min <= var.tasks_max
    error_message = "tasks_min: from 1 to tasks_max."
  }
}

variable "tasks_max" {
  description = "The most tasks"
  type        = number
  default     = 6
}

variable "time_zone" {
  description = "The IANA name of the zone whose today it is"
  type        = string
  default     = "UTC"
}

variable "leap_day" {
  description = "29 February in common years: `feb28` or `mar1`"
  type        = string
  default     = "feb28"

  validation {
    condition     = contains(["feb28", "mar1"], var.leap_day)
    error_message = "leap_day: feb28 or mar1."
  }
}

variable "database_class" {
  description = "The class of the database's instances"
  type        = string
  default     = "db.t4g.micro"
}

variable "database_storage" {
  description = "Its first size in GiB; it grows by itself to five times that"
  type        = number
  default     = 20

  validation {
    condition     = var.database_storage >= 20
    error_message = "database_storage: at least 20."
  }
}

variable "database_multi_az" {
  description = "Whether a standby in another zone has every change before it is acknowledged, and takes over by itself"
  type        = bool
  default     = false
}

variable "database_replicas" {
  description = "Read replicas that the service asks while they are at most a second behind"
  type        = number
  default     = 0

  validation {
    condition     = var.database_replicas >= 0 && var.database_replicas <= 5
    error_message = "database_replicas: 0 to 5."
  }
}

variable "backup_days" {
  description = "How many days back the database can be restored, to the second"
  type        = number
  default     = 7

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35
    error_message = "backup_days: 1 to 35."
  }
}

variable "copy_backups_to" {
  description = "Another region that has the backups, too"
  type        = string
  default     = null

  validation {
    condition     = var.copy_backups_to != data.aws_region.here.region
    error_message = "copy_backups_to: another region than the one that everything is in."
  }
}

variable "restore" {
  description = "What the database is made from, when it is made: `instance` or `backups_arn`, and the `time` (the last one, if not said)"
  type = object({
    instance    = optional(string)
    backups_arn = optional(string)
    time        = optional(string)
  })
  default = null

  validation {
    condition     = var.restore == null || (try(var.restore.instance, null) == null) != (try(var.restore.backups_arn, null) == null)
    error_message = "restore: an instance or backups_arn, one of the two."
  }
}

variable "protect" {
  description = "Whether the database, its backups, the load balancer and the secrets can't be deleted at once; `false` for trying out"
  type        = bool
  default     = true
}

variable "psql_image" {
  description = "An image with psql, for the task that makes the database's roles"
  type        = string
  default     = "public.ecr.aws/docker/library/postgres:17"

  validation {
    condition     = var.nat != "none" || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.", var.psql_image))
    error_message = "psql_image: without a way out it must be in ECR."
  }
}

variable "access_log_days" {
  description = "How long the load balancer's log is kept; 0 for none, for its paths are names"
  type        = number
  default     = 0

  validation {
    condition     = var.access_log_days >= 0 && floor(var.access_log_days) == var.access_log_days
    error_message = "access_log_days: days, or 0."
  }
}

variable "log_days" {
  description = "How long logs are kept in CloudWatch"
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400], var.log_days)
    error_message = "log_days: one of CloudWatch's: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400."
  }
}

variable "metrics_readers" {
  description = "Security groups that may read `/metrics` at the tasks' port 9090"
  type        = list(string)
  default     = []
}

variable "alarm_emails" {
  description = "Who gets the alarms; each must confirm a first mail"
  type        = list(string)
  default     = []
}

variable "releasers" {
  description = "The pipeline that may make releases: the ARN of its identity provider, the audience and subjects of its tokens"
  type = object({
    provider_arn = string
    audience     = optional(string, "sts.amazonaws.com")
    subjects     = list(string)
  })
  default = null

  validation {
    condition     = var.releasers == null || can(regex("^arn:aws:iam::[0-9]{12}:oidc-provider/.+", var.releasers.provider_arn))
    error_message = "releasers: provider_arn is such as arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com."
  }
  validation {
    condition     = var.releasers == null || alltrue([for subject in try(var.releasers.subjects, []) : !strcontains(subject, "*")])
    error_message = "releasers: subjects are compared as they are; a * would let in nobody, or by StringLike anybody."
  }
}
