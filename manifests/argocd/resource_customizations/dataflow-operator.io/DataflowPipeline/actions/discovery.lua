local actions = {}
local going = obj.metadata.deletionTimestamp ~= nil
local suspended = obj.spec.suspend == true

local known = {}
local seen = obj.status ~= nil and obj.status.observedGeneration == obj.metadata.generation
if seen and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    known[condition.type] = condition.status
  end
end

-- A stream whose job runs, or is on its way, refuses a run: only one that has come to a halt takes it. Nothing takes one that is
-- not to be launched with this template, and a change that was not seen yet starts a run by itself.
local halted = known["Stalled"] == "True" and known["Available"] ~= "True"
local takes = seen and known["TemplateValid"] ~= "False" and (obj.spec.type == "Batch" or halted)

actions["reconcile"] = {
  displayName = "Look again",
  iconClass = "fa fa-fw fa-refresh",
  disabled = going,
}
actions["run"] = {
  displayName = "Run",
  iconClass = "fa fa-fw fa-play-circle",
  disabled = going or suspended or not takes,
}
actions["suspend"] = {
  displayName = "Suspend",
  iconClass = "fa fa-fw fa-pause",
  disabled = going or suspended,
}
actions["resume"] = {
  displayName = "Resume",
  iconClass = "fa fa-fw fa-play",
  disabled = going or not suspended,
}
return actions
