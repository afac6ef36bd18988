{{/* What everything is called. */}}
{{- define "hello.name" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* By what pods are chosen: never changes. Called with (dict "root" $ "component" "…"). */}}
{{- define "hello.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* With what tells the version; not for pods, which a new chart of the same content shall not replace. */}}
{{- define "hello.labels" -}}
{{ include "hello.selector" . }}
app.kubernetes.io/version: {{ include "hello.version" .root | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* What is left of the tag in a label, which is shorter, and begins and ends with a letter or a digit. */}}
{{- define "hello.version" -}}
{{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "._-" }}
{{- end }}

{{- define "hello.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* Pods and containers as the "restricted" standard of Kubernetes asks. */}}
{{- define "hello.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "hello.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "hello.postgresql.secret" -}}
{{ .Values.postgresql.existingSecret | default (printf "%s-postgresql" (include "hello.name" .)) }}
{{- end }}

{{- define "hello.postgresql.host" -}}
{{- if .Values.postgresql.enabled }}{{ include "hello.name" . }}-postgresql
{{- else }}{{ required "postgresql.host: say where the server is, or set postgresql.enabled" .Values.postgresql.host }}
{{- end }}
{{- end }}

{{/* Where the store is: secrets are files, never values. */}}
{{- define "hello.store.env" -}}
{{- if eq .Values.store "postgresql" }}
- {name: POSTGRES_HOST, value: {{ include "hello.postgresql.host" . | quote }}}
- {name: POSTGRES_PORT, value: {{ .Values.postgresql.port | quote }}}
- {name: POSTGRES_DATABASE, value: {{ .Values.postgresql.database | quote }}}
- {name: POSTGRES_USERNAME, value: {{ .Values.postgresql.username | quote }}}
- {name: POSTGRES_PASSWORD_FILE, value: /secrets/store/password}
- {name: POSTGRES_SSLMODE, value: {{ .Values.postgresql.sslmode | default (ternary "disable" "verify-full" .Values.postgresql.enabled) }}}
{{- if .Values.postgresql.caSecret }}
- {name: POSTGRES_SSLROOTCERT, value: /secrets/ca/ca.crt}
{{- end }}
{{- else if eq .Values.store "redis" }}
- {name: DATABASE_URL_FILE, value: /secrets/store/url}
{{- end }}
{{- end }}

{{- define "hello.store.mounts" -}}
{{- if ne .Values.store "sqlite" }}
- {name: store, mountPath: /secrets/store, readOnly: true}
{{- else }}
- {name: data, mountPath: /data}
{{- end }}
{{- if and (eq .Values.store "postgresql") .Values.postgresql.caSecret }}
- {name: ca, mountPath: /secrets/ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "hello.store.volumes" -}}
{{- if eq .Values.store "postgresql" }}
- name: store
  secret: {secretName: {{ include "hello.postgresql.secret" . }}, defaultMode: 0440, items: [{key: password, path: password}]}
{{- if .Values.postgresql.caSecret }}
- name: ca
  secret: {secretName: {{ .Values.postgresql.caSecret }}, defaultMode: 0444, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- else if eq .Values.store "redis" }}
- name: store
  secret:
    secretName: {{ required "redis.existingSecret: name the Secret with the URL" .Values.redis.existingSecret }}
    defaultMode: 0440
    items: [{key: url, path: url}]
{{- else }}
- name: data
  persistentVolumeClaim: {claimName: {{ include "hello.name" . }}}
{{- end }}
{{- end }}

{{/* How many pods there are at least. */}}
{{- define "hello.pods" -}}
{{- if eq .Values.store "sqlite" }}1
{{- else if .Values.autoscaling.enabled }}{{ .Values.autoscaling.minReplicas }}
{{- else }}{{ .Values.replicas }}
{{- end }}
{{- end }}
