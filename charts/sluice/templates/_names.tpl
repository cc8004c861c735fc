{{/* Names are fixed: the proxies find the operator by them, and a namespace holds one Sluice. */}}

{{- define "sluice.labels" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "sluice.operator.selector" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/component: operator
{{- end }}

{{- define "sluice.proxy.selector" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/component: proxy
{{- end }}

{{/* What every container may not do: the restricted Pod Security level. */}}
{{- define "sluice.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "sluice.operator.subject" -}}
- kind: ServiceAccount
  name: sluice-operator
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* The lease under which Rollouts are acted on is Argo Rollouts' own. */}}
{{- define "sluice.rolloutLease" -}}
argo-rollouts-controller-lock{{ with .Values.operator.instanceId }}-{{ . }}{{ end }}
{{- end }}

{{/* Where that lease lies; empty = the operator looks for it in all namespaces, which one namespace's rights forbid. */}}
{{- define "sluice.argoNamespace" -}}
{{- if .Values.operator.argoNamespace }}{{ .Values.operator.argoNamespace }}
{{- else if .Values.operator.watchNamespace }}{{ .Release.Namespace }}
{{- end }}
{{- end }}

{{/* Where pods of one Deployment run: `(list . "operator")`. Spread over nodes as far as there are nodes. */}}
{{- define "sluice.placement" -}}
{{- $root := index . 0 }}
{{- $values := index $root.Values (index . 1) }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include (printf "sluice.%s.selector" (index . 1)) $root | nindent 8 }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
