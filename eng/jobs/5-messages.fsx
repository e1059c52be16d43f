/// Programs that fail, mended by nothing but what their messages say.
module Messages

#load "job.fsx"

let run () : string =
    let where = Job.folderOf "5 Messages" "5-messages" []
    let text = Job.runScript where "messages.fsx"
    printfn $"{Job.indented text}"
    let mended = int (Job.found "a count" @"^(\d+) programs mended" text)
    Job.expect "twenty programs" (mended = 20) text
    $"{mended} programs say what is wrong, and run once that is done"
