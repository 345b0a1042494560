# Fetch a mailbox with Ruby's net-pop: fetch.rb HOST PORT USER PASSWORD FOLDER
#
# Each message goes to FOLDER/N.eml and is deleted on the server.
require 'net/pop'

host, port, user, password, folder = ARGV
client = Net::POP3.new(host, port.to_i)
client.open_timeout = client.read_timeout = 30
client.start(user, password) do |session|
  mails = session.mails
  mails.each do |mail|
    File.binwrite("#{folder}/#{mail.number}.eml", mail.pop)
    mail.delete
  end
  puts mails.length
end
