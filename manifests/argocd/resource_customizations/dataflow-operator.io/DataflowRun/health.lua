-- A DataflowRun's status follows kstatus: Succeeded always, Reconciling and Stalled only while they are True; there is no Ready.
-- What each state means to Argo CD: docs/gitops.md of the operator.
local health = { status = "Progressing", message = "Waiting for the Dataflow operator" }
local status = obj.status

if status == nil or status.conditions == nil then
  return health
end
if status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waiting for the Dataflow operator to see the change"
  return health
end

local known = {}
for _, condition in ipairs(status.conditions) do
  known[condition.type] = condition
end

local function is(kind, truth)
  return known[kind] ~= nil and known[kind].status == truth
end

local succeeded = known["Succeeded"]
if succeeded == nil then
  return health
end
health.message = succeeded.message
if health.message == nil or health.message == "" then
  health.message = succeeded.reason
end

if is("Stalled", "True") then
  health.status = "Degraded"
elseif is("Reconciling", "True") then
  health.status = "Progressing"
elseif succeeded.status == "Unknown" then
  -- The job runs. A batch run's end is waited for, a stream's is not.
  local spec = status.resolvedSpec
  if spec ~= nil and spec.type == "Streaming" then
    health.status = "Healthy"
  end
else
  -- Succeeded, or stopped or replaced as it was asked to.
  health.status = "Healthy"
end
return health
