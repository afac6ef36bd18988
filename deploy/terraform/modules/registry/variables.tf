variable "name" {
  description = "The repository's name"
  type        = string
}

variable "images_kept" {
  description = "How many images are kept"
  type        = number
  default     = 30
}

variable "protect" {
  description = "Whether it can be deleted only when it is empty"
  type        = bool
}

variable "key_arn" {
  description = "The key that encrypts the images"
  type        = string
}
