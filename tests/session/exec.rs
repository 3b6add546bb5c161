//! `auth exec`: the program's environment, exit code, signals, and the end of the broker.

use super::{Job, eventually, processes};
use std::time::{Duration, Instant};

#[test]
fn the_program_gets_what_sdks_need_and_nothing_else() {
    let job = Job::new();
    let outcome = job
        .home
        .command(["auth", "exec", "-p", "p", "--", "/bin/sh", "-c", "/usr/bin/env | /usr/bin/grep DATABRICKS | /usr/bin/sort"])
        .env("DATABRICKS_TOKEN", "dapi-of-somebody-else")
        .env("DATABRICKS_CONFIG_PROFILE", "q")
        .env("DATABRICKS_CLUSTER_ID", "0123-456789-abc")
        .env("ARM_CLIENT_ID", "kept")
        .run();
    let host = job.workspace.url();
    let names: Vec<&str> = outcome.ok().stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert_eq!(
        names,
        ["DATABRICKS_AUTH_STORAGE", "DATABRICKS_AUTH_TYPE", "DATABRICKS_CLUSTER_ID", "DATABRICKS_HOST", "DATABRICKS_METADATA_SERVICE_URL"],
        "{outcome}"
    );
    outcome
        .shows("DATABRICKS_AUTH_TYPE=metadata-service\n")
        .shows(&format!("DATABRICKS_HOST={host}\n"))
        .shows("DATABRICKS_METADATA_SERVICE_URL=http://127.0.0.1:")
        .lacks("dapi-of-somebody-else")
        .lacks("CONFIG_PROFILE");
}

/// E7: what a program finds of its process is what it would find without us. (Signals above 32 are the C library's own.)
#[test]
fn descriptors_limits_signals_and_folder_are_as_they_were() {
    let job = Job::new();
    let script = r#"umask 027; ulimit -c unlimited; ulimit -n 512; trap '' USR2
        look='ls /proc/self/fd; umask; pwd; ulimit -a; grep "^Sig[^Q]" /proc/self/status | sed "s/[0-9a-f]\{8\}\([0-9a-f]\{8\}\)$/\1/"; grep -E "^(Groups|NoNewPrivs|Seccomp):" /proc/self/status'
        sh -c "$look" > plain
        for with in "auth exec -p p" "session start p" "session start p --live" "session start none"; do
            databricks $with -- sh -c "$look" > within 2> said; diff plain within || echo "$with"
        done"#;
    job.home.script(script).run().ok().silent();
}

/// E7: of the environment nothing changes but what is said.
#[test]
fn the_environment_of_a_session_is_the_old_one_and_what_is_said() {
    let job = Job::new();
    let script = r#"export DATABRICKS_TOKEN=dapi-x DATABRICKS_CLUSTER_ID=1 ARM_CLIENT_SECRET=kept AWS_PROFILE=a 'ODD=a b
c'; env -0 | sort -z | tr '\0' '\n' > plain
        databricks session start p --live -- sh -c 'env -0 | sort -z | tr "\0" "\n"' 2> said > within; diff plain within | grep '^[<>]' | sed 's/=.*//' | grep -v '_$' | sort"#;
    let outcome = job.home.script(script).run();
    let changed: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        changed,
        ["< DATABRICKS_CLUSTER_ID", "< DATABRICKS_TOKEN", "> DATABRICKS_CONFIG_FILE", "> DATABRICKS_CONFIG_PROFILE", "> DATABRICKS_HOST"],
        "{outcome}"
    );
}

#[test]
fn the_exit_code_is_the_programs() {
    let job = Job::new();
    let script = "for code in 0 1 7 255; do databricks auth exec -p p -- sh -c \"exit $code\"; echo $?; done
        databricks auth exec -p p -- sh -c 'kill -TERM $$'; echo $?
        databricks auth exec -p p -- sh -c 'kill -KILL $$'; echo $?
        databricks auth exec -p p -- no-such-program; echo $?
        databricks auth exec -p p -- /etc/passwd; echo $?
        databricks auth exec -p p; echo $?";
    let outcome = job.home.script(script).run();
    outcome.ok().prints("0\n1\n7\n255\n143\n137\n127\n126\n1\n").says("there is no such program");
}

#[test]
fn words_of_the_program_arrive_byte_for_byte() {
    let job = Job::new();
    let script = r"databricks auth exec -p p -- printf '<%s>' -p x --help -- '' 'a b' $'\xff\xfe' | od -An -c | tr -d ' \n'";
    job.home.script(script).run().ok().prints("<-p><x><--help><--><><ab><377376>");
}

#[test]
fn signals_are_passed_on_and_the_broker_ends_with_the_program() {
    let job = Job::new();
    let script = r#"mkfifo ready
        databricks auth exec -p p -- bash -c 'trap "echo got; exit 3" TERM; trap "echo usr" USR1; echo "$DATABRICKS_METADATA_SERVICE_URL" > url; echo up > ready; while :; do read -r -t 0.05 < /dev/zero; sleep 0.02; done' &
        program=$!; read -r word < ready
        kill -USR1 $program; sleep 0.1; kill -TERM $program; wait $program; echo $?
        curl -s --noproxy '*' "$(cat url)" > /dev/null; echo "curl $?"; rm url"#;
    job.home.script(script).run().ok().prints("usr\ngot\n3\ncurl 7\n");
}

#[test]
fn a_client_that_asks_for_hours_gets_living_tokens_and_no_process_shows_the_address() {
    let job = Job::with_tokens_of(Duration::from_secs(3));
    let script = r#"databricks auth exec -p p -- bash -c '
        tr "\0" " " < /proc/$PPID/cmdline > line; grep -q "${DATABRICKS_METADATA_SERVICE_URL##*/}" line && echo LEAK
        end=$((SECONDS + 7)); while [ $SECONDS -lt $end ]; do
          token=$(curl -s --noproxy "*" -H "X-Databricks-Metadata-Version: 1" -H "X-Databricks-Host: $DATABRICKS_HOST" "$DATABRICKS_METADATA_SERVICE_URL" | sed "s/.*access_token\":\"\([^\"]*\)\".*/\1/")
          curl -s -o /dev/null -w "%{http_code}\n" --noproxy "*" -H "Authorization: Bearer $token" "$DATABRICKS_HOST/api/2.0/preview/scim/v2/Me" >> codes; sleep 0.1
        done; sort codes | uniq -c | awk "{print \$2}"'"#;
    job.home.script(script).run().ok().prints("200\n");
    assert!(job.workspace.grants().client_credentials >= 3, "{:?}", job.workspace.grants());
}

#[test]
fn a_killed_exec_takes_its_broker_along() {
    let job = Job::new();
    let mut child = job.home.command(["auth", "exec", "-p", "p", "--", "/bin/sh", "-c", "echo $$ > pid; exec /bin/sleep 30.0451"]).spawn();
    eventually("the program", || std::fs::read_to_string(job.home.work().join("pid")).is_ok_and(|pid| pid.ends_with('\n')));
    let started = Instant::now();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
    let pid: i32 = std::fs::read_to_string(job.home.work().join("pid")).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
    eventually("the end of the program", || processes("sleep 30.0451").is_empty());
}
