# A pool of workers under Nomad: nomad job run -var image=registry.example.com/team/simpledist:1 worker.nomad.hcl
# The key and the URL of Redis are a variable of Nomad:
#
#     nomad var put nomad/jobs/simpledist-worker key=@key redis_url=redis://:PASSWORD@redis.example.com:6379/0

variable "image" {
  type = string
}

job "simpledist-worker" {
  type = "service"

  # New workers come before old ones go.
  update {
    max_parallel     = 1
    canary           = 1
    auto_promote     = true
    min_healthy_time = "10s"
  }

  group "worker" {
    count = 2

    # What `simpledist drain` ended with 0 is placed again: set the count instead.
    restart {
      attempts = 5
      interval = "5m"
      delay    = "5s"
      mode     = "delay"
    }

    task "worker" {
      driver = "docker"

      config {
        image   = var.image
        command = "simpledist-worker"
        args    = ["fns", "--grace", "25", "--slots", "2", "--name", "${node.unique.name}", "--alive", "/tmp/alive"]
      }

      # SIGTERM drains; --grace and 10 seconds (the client's max_kill_timeout must allow it: 30 s by default).
      kill_signal  = "SIGTERM"
      kill_timeout = "35s"

      template {
        destination = "secrets/key"
        perms       = "0400"
        uid         = 1000
        gid         = 1000
        data        = "{{ with nomadVar \"nomad/jobs/simpledist-worker\" }}{{ .key }}{{ end }}"
      }

      template {
        destination = "secrets/redis.env"
        env         = true
        data        = "SIMPLEDIST_REDIS_URL={{ with nomadVar \"nomad/jobs/simpledist-worker\" }}{{ .redis_url }}{{ end }}"
      }

      env {
        SIMPLEDIST_SECRET_FILE = "${NOMAD_SECRETS_DIR}/key"
        XDG_CACHE_HOME         = "/tmp/cache"
      }

      resources {
        cpu    = 2000
        memory = 2048
      }
    }
  }
}
