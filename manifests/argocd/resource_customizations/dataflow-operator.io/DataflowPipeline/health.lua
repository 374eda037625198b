-- A DataflowPipeline's status follows kstatus: Ready always, Reconciling and Stalled only while they are True.
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

local ready = known["Ready"]
if ready == nil then
  return health
end
health.message = ready.message

if is("Stalled", "True") then
  health.status = "Degraded"
elseif is("Reconciling", "True") or ready.status ~= "True" then
  health.status = "Progressing"
elseif is("Suspended", "True") then
  -- As the spec asks: Suspended would hold up later sync waves (argoproj/argo-cd#24428).
  health.status = "Healthy"
elseif is("Succeeded", "Unknown") then
  -- A batch run is in flight: as of a Job, the end is waited for.
  health.status = "Progressing"
else
  health.status = "Healthy"
  if is("InSync", "False") then
    health.message = ready.message .. "; " .. known["InSync"].message
  end
end
return health
