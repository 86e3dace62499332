{{/* Labels by which a Service, a PodDisruptionBudget or a Deployment finds pods. */}}
{{- define "musterroll.selector" -}}
app.kubernetes.io/name: musterroll
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{/* Labels of every object. */}}
{{- define "musterroll.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: musterroll
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* What the pods of the server and of the migration share. */}}
{{- define "musterroll.pod" -}}
automountServiceAccountToken: false
# Otherwise a Service named anyscale sets ANYSCALE_PORT, and anyscale-sso ANYSCALE_SSO_PORT.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  # The group of the files of Secrets.
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 64Mi}
  - name: database
    secret:
      secretName: {{ include "musterroll.databaseSecret" . | quote }}
      items: [{key: ca.crt, path: ca.crt}]
      defaultMode: 0440
      # The CA is optional.
      optional: true
  {{- if .Values.sso.existingSecret }}
  - name: sso
    secret:
      secretName: {{ include "musterroll.ssoSecret" . | quote }}
      items: [{key: client-secret, path: client-secret}]
      # The server refuses a file that others than its user and group can read.
      defaultMode: 0440
  {{- end }}
  {{- if .Values.mail.existingSecret }}
  - name: mail
    secret:
      secretName: {{ include "musterroll.mailSecret" . | quote }}
      items: [{key: password, path: password}]
      # The server refuses a file that others than its user and group can read.
      defaultMode: 0440
  {{- end }}
  {{- with .Values.logo.existingConfigMap }}
  - name: logo
    configMap:
      name: {{ . | quote }}
      items: [{key: logo, path: logo}]
  {{- end }}
  {{- range $name, $value := include "musterroll.keys" . | fromYaml }}
  {{- with (index $.Values $value).existingSecret }}
  - name: {{ $name }}
    secret:
      secretName: {{ include "musterroll.secretName" (dict "value" (printf "%s.existingSecret" $value) "name" .) | quote }}
      # The server refuses a file that others than its user and group can read.
      defaultMode: 0440
  {{- end }}
  {{- end }}
{{- end }}

{{/* The folders of keys, and the values that name their Secrets. */}}
{{- define "musterroll.keys" -}}
second-factor-keys: secondFactorKeys
signing-keys: signingKeys
{{- end }}

{{/* What the containers of the server and of the migration share. */}}
{{- define "musterroll.container" -}}
image: {{ include "musterroll.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  {{- include "musterroll.env" . | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: database, mountPath: /etc/musterroll/database, readOnly: true}
  {{- if .Values.sso.existingSecret }}
  - {name: sso, mountPath: /etc/musterroll/sso, readOnly: true}
  {{- end }}
  {{- if .Values.mail.existingSecret }}
  - {name: mail, mountPath: /etc/musterroll/mail, readOnly: true}
  {{- end }}
  {{- if .Values.logo.existingConfigMap }}
  - {name: logo, mountPath: /etc/musterroll/logo, readOnly: true}
  {{- end }}
  {{- range $name, $value := include "musterroll.keys" . | fromYaml }}
  {{- if (index $.Values $value).existingSecret }}
  - {name: {{ $name }}, mountPath: /etc/musterroll/{{ $name }}, readOnly: true}
  {{- end }}
  {{- end }}
{{- end }}

{{- define "musterroll.image" -}}
{{ required "image.repository is missing: build the image, push it to your registry, and set image.repository to its name without the tag" .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "musterroll.databaseSecret" -}}
{{- $name := required "database.existingSecret is missing: create a Secret with the URL of the PostgreSQL database in the key url, and set database.existingSecret to its name" .Values.database.existingSecret }}
{{- include "musterroll.secretName" (dict "value" "database.existingSecret" "name" $name) }}
{{- end }}

{{- define "musterroll.ssoSecret" -}}
{{- include "musterroll.secretName" (dict "value" "sso.existingSecret" "name" .Values.sso.existingSecret) }}
{{- end }}

{{- define "musterroll.mailSecret" -}}
{{- include "musterroll.secretName" (dict "value" "mail.existingSecret" "name" .Values.mail.existingSecret) }}
{{- end }}

{{/* Checked here, because an error of the schema shows the text, which may be the secret itself. */}}
{{- define "musterroll.secretName" -}}
{{- if not (regexMatch "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$" .name) }}
{{- fail (printf "%s must be the name of a Secret, not the secret itself" .value) }}
{{- end }}
{{- .name }}
{{- end }}

{{- define "musterroll.env" -}}
- name: ANYSCALE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "musterroll.databaseSecret" . | quote }}
      key: url
- name: ANYSCALE_PUBLIC_URL
  value: {{ required "publicUrl is missing: set it to the address at which users reach the control plane, such as https://accounts.example.com" .Values.publicUrl | quote }}
{{- with .Values.forwardedAllowIPs }}
- name: FORWARDED_ALLOW_IPS
  value: {{ join "," . | quote }}
{{- end }}
{{- if .Values.logo.existingConfigMap }}
- name: ANYSCALE_LOGO
  value: /etc/musterroll/logo/logo
{{- end }}
{{- range $name, $value := include "musterroll.keys" . | fromYaml }}
{{- if (index $.Values $value).existingSecret }}
- name: ANYSCALE_{{ $name | upper | replace "-" "_" }}
  value: /etc/musterroll/{{ $name }}
{{- end }}
{{- end }}
{{- with .Values.sso }}
{{- if .issuer }}
- name: ANYSCALE_SSO_ISSUER
  value: {{ .issuer | quote }}
- name: ANYSCALE_SSO_CLIENT_ID
  value: {{ required "sso.clientId is missing: set it to the client id that the provider of sso.issuer assigned" .clientId | quote }}
{{- if .existingSecret }}
- name: ANYSCALE_SSO_CLIENT_SECRET_FILE
  value: /etc/musterroll/sso/client-secret
{{- end }}
{{- with .domains }}
- name: ANYSCALE_SSO_DOMAINS
  value: {{ join "," . | quote }}
{{- end }}
{{- with $.Values.secondFactor.ssoSecondFactor }}
- name: ANYSCALE_SSO_SECOND_FACTOR
  value: {{ . | quote }}
{{- end }}
{{- else if or .clientId .existingSecret .domains $.Values.secondFactor.ssoSecondFactor }}
{{- fail "sso.issuer is missing, and other values of sso are set" }}
{{- end }}
{{- end }}
{{- with .Values.secondFactor }}
- name: ANYSCALE_SECOND_FACTOR
  value: {{ .mode | toString | replace "false" "off" | quote }} {{- /* YAML takes off for false */}}
- name: ANYSCALE_SECOND_FACTOR_DAYS
  value: {{ .days | quote }}
{{- end }}
{{- with .Values.mail }}
{{- if .host }}
- name: ANYSCALE_SMTP_HOST
  value: {{ .host | quote }}
- name: ANYSCALE_SMTP_PORT
  value: {{ .port | quote }}
- name: ANYSCALE_SMTP_TLS
  value: {{ .tls | quote }}
- name: ANYSCALE_MAIL_FROM
  value: {{ required "mail.from is missing: set it to the address of the sender, a mailbox that someone reads" .from | quote }}
- name: ANYSCALE_MAIL_PER_MINUTE
  value: {{ .perMinute | quote }}
{{- if .user }}
- name: ANYSCALE_SMTP_USER
  value: {{ .user | quote }}
{{- if not .existingSecret }}
{{- fail "mail.existingSecret is missing: create a Secret with the password of mail.user in the key password" }}
{{- end }}
- name: ANYSCALE_SMTP_PASSWORD_FILE
  value: /etc/musterroll/mail/password
{{- else if .existingSecret }}
{{- fail "mail.user is missing, and mail.existingSecret is set" }}
{{- end }}
{{- else if or .from .user .existingSecret }}
{{- fail "mail.host is missing, and other values of mail are set" }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
