variable "region" {
  description = "AWS's region"
  type        = string
  default     = "eu-west-1"
}
