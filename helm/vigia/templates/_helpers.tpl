{{- define "vigia.labels" -}}
app.kubernetes.io/part-of: vigia
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Labels that select the pods of one process; never changed after an install. */}}
{{- define "vigia.selector" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/name: {{ .name }}
{{- end }}

{{- define "vigia.image" -}}
{{ .root.Values.image.repository }}/{{ .service }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "vigia.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "vigia.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where every Triton replica answers: each is reconciled on its own, so they are named one by one. */}}
{{- define "vigia.tritonUrls" -}}
{{- $urls := list -}}
{{- range $i := until (int .Values.triton.replicas) -}}
{{- $urls = append $urls (printf "%s-triton-%d.%s-triton:8001" $.Release.Name $i $.Release.Name) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end }}

{{/* What each service reads, by the groups of settings that it knows. */}}
{{- define "vigia.groups" -}}
registry: [kafka, postgres, objects, triton, http, identity]
training: [kafka, objects]
detection: [kafka, objects, triton, http, registry]
ingestion: [kafka, objects, http, registry]
aggregator: [kafka, postgres, objects, http, registry]
{{- end }}

{{- define "vigia.secretEnv" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .secret | quote }}, key: {{ .key }}}}
{{- end }}

{{/* The environment of one service. Arguments: root, service. */}}
{{- define "vigia.env" -}}
{{- $v := .root.Values -}}
{{- $p := printf "VIGIA_%s_" (upper .service) -}}
{{- $groups := index (include "vigia.groups" . | fromYaml) .service -}}
- {name: {{ $p }}SIDE__HOST, value: 0.0.0.0}
- {name: {{ $p }}SIDE__PORT, value: "9100"}
- {name: {{ $p }}LOG__FORMAT, value: json}
- {name: {{ $p }}LOG__LEVEL, value: {{ $v.log.level | quote }}}
{{- if has "kafka" $groups }}
- {name: {{ $p }}KAFKA__BOOTSTRAP, value: {{ required "kafka.bootstrap is required" $v.kafka.bootstrap | quote }}}
- {name: {{ $p }}KAFKA__TOPIC_PREFIX, value: {{ $v.kafka.topicPrefix | quote }}}
{{- end }}
{{- if has "postgres" $groups }}
{{ include "vigia.secretEnv" (dict "name" (print $p "POSTGRES__URL") "key" "url" "secret" (required "postgres.existingSecret is required" $v.postgres.existingSecret)) }}
{{- end }}
{{- if has "objects" $groups }}
{{- $secret := required "objects.existingSecret is required" $v.objects.existingSecret }}
- {name: {{ $p }}OBJECTS__ENDPOINT, value: {{ required "objects.endpoint is required" $v.objects.endpoint | quote }}}
- {name: {{ $p }}OBJECTS__REGION, value: {{ $v.region | quote }}}
{{ include "vigia.secretEnv" (dict "name" (print $p "OBJECTS__ACCESS_KEY_ID") "key" "access_key_id" "secret" $secret) }}
{{ include "vigia.secretEnv" (dict "name" (print $p "OBJECTS__SECRET_ACCESS_KEY") "key" "secret_access_key" "secret" $secret) }}
{{- if and $v.sealing.existingSecret (ne .service "ingestion") }}
{{ include "vigia.secretEnv" (dict "name" (print $p "OBJECTS__SEALING_KEY") "key" "sealing_key" "secret" $v.sealing.existingSecret) }}
{{- if $v.sealing.keysSecret }}
- {name: {{ $p }}OBJECTS__KEYS_FOLDER, value: /run/vigia/keys}
{{- end }}
{{- end }}
{{- end }}
{{- if has "triton" $groups }}
- {name: {{ $p }}TRITON__URLS, value: {{ include "vigia.tritonUrls" .root | quote }}}
{{- end }}
{{- if has "http" $groups }}
- {name: {{ $p }}HTTP__HOST, value: 0.0.0.0}
- {name: {{ $p }}HTTP__PORT, value: "8080"}
{{- end }}
{{- $identity := $v.identity.existingSecret }}
{{- if has "registry" $groups }}
- {name: {{ $p }}REGISTRY__URL, value: {{ printf "http://%s-registry-http:8080" .root.Release.Name | quote }}}
{{ include "vigia.secretEnv" (dict "name" (print $p "REGISTRY__TOKEN") "key" "internal_token" "secret" (required "identity.existingSecret is required" $identity)) }}
{{- end }}
{{- if has "identity" $groups }}
{{- $secret := required "identity.existingSecret is required" $identity }}
{{ include "vigia.secretEnv" (dict "name" (print $p "INTERNAL_TOKEN") "key" "internal_token" "secret" $secret) }}
{{ include "vigia.secretEnv" (dict "name" (print $p "SECRET_KEY") "key" "secret_key" "secret" $secret) }}
- {name: {{ $p }}BOOTSTRAP__ACCOUNT_ID, value: {{ $v.account | quote }}}
- {name: {{ $p }}BOOTSTRAP__REGION, value: {{ $v.region | quote }}}
{{ include "vigia.secretEnv" (dict "name" (print $p "BOOTSTRAP__ACCESS_KEY_ID") "key" "access_key_id" "secret" $secret) }}
{{ include "vigia.secretEnv" (dict "name" (print $p "BOOTSTRAP__SECRET_ACCESS_KEY") "key" "secret_access_key" "secret" $secret) }}
{{- end }}
{{- end }}
