local os = require("os")

local owner = {}
owner.apiVersion = obj.apiVersion
owner.kind = obj.kind
owner.name = obj.metadata.name
owner.uid = obj.metadata.uid
-- Not a controller reference: those are of the runs that the operator itself makes.

local run = {}
run.apiVersion = obj.apiVersion
run.kind = "DataflowRun"
run.metadata = {}
-- Never a name that the operator gives: those end in the run's number.
run.metadata.name = obj.metadata.name .. "-asked-" .. os.date("!%Y%m%d%H%M%S") .. "z"
run.metadata.namespace = obj.metadata.namespace
run.metadata.ownerReferences = { owner }
run.spec = {}
run.spec.pipelineRef = { name = obj.metadata.name }

local impacted = {}
impacted.operation = "create"
impacted.resource = run
return { impacted }
