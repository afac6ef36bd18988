variable "name" {
  description = "The repository's name"
  type        = string
}

variable "images_kept" {
  description = "How many images are kept"
  type        = number
  default     = 30
}

variable "key_arn" {
  description = "The key that encrypts the images"
  type        = string
}
